"""The search for the largest batch, with a pretended GPU that runs out of memory."""

import pytest
import torch

from detkit.tuning.largest_batch import fits_into_memory, largest_batch


class PretendedGPU:
    """A training step that needs more memory than there is above some number of images."""

    def __init__(self, room):
        self.room = room
        self.tried = []

    def __call__(self, images):
        self.tried.append(images)
        if images > self.room:
            raise torch.cuda.OutOfMemoryError("CUDA out of memory.")


@pytest.mark.parametrize("room", [0, 1, 2, 3, 7, 16, 17, 29, 63])
def test_the_largest_batch_is_exact_below_32_images_and_within_a_sixteenth_above(room):
    gpu = PretendedGPU(room)
    images = largest_batch(fits_into_memory(gpu), 1000)
    assert images <= room < images + max(images // 16, 1)
    assert len(gpu.tried) <= 12


@pytest.mark.parametrize(("room", "most", "images"), [(500, 20, 20), (5, 20, 5), (500, 1, 1)])
def test_no_larger_batch_than_allowed_is_tried(room, most, images):
    gpu = PretendedGPU(room)
    assert largest_batch(fits_into_memory(gpu), most) == images
    assert max(gpu.tried) <= most


def test_errors_of_cudnn_count_as_a_lack_of_memory():
    def step(images):
        if images > 4:
            raise RuntimeError("cuDNN error: CUDNN_STATUS_NOT_SUPPORTED.")

    assert largest_batch(fits_into_memory(step), 100) == 4


def test_other_errors_are_not_taken_for_a_lack_of_memory():
    def broken(images):
        raise RuntimeError("a bug")

    with pytest.raises(RuntimeError, match="a bug"):
        largest_batch(fits_into_memory(broken), 8)
