"""OpenCV's copies, and the number of its threads."""

import pytest
import torch

from detkit.data.opencv import copy_planes, cv2


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (7, 1), (3, 3), (33, 10)])
@pytest.mark.parametrize("interleaved", [True, False])
def test_an_image_is_copied_into_a_part_of_planes(size, interleaved):
    height, width = size
    random = torch.Generator().manual_seed(0)
    larger = torch.randint(1, 256, (height + 2, width + 3, 3), dtype=torch.uint8, generator=random)
    image = larger[1 : height + 1, 2 : width + 2].permute(2, 0, 1)
    image = image if interleaved else image.contiguous()
    canvas = torch.zeros((3, height + 4, width + 5), dtype=torch.uint8)
    copy_planes(image, canvas[:, :height, :width])
    assert canvas[:, :height, :width].equal(image)
    assert not canvas[:, height:].any()
    assert not canvas[:, :, width:].any()


def test_opencv_starts_no_threads():
    assert cv2.getNumThreads() == 1
