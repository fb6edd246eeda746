import math

import numpy as np
import pytest
import torch
from pycocotools import mask
from torch.testing import assert_close
from torchvision import ops as theirs

from detkit import ops as ours

MEASURES = [ours.iou, ours.generalized_iou, ours.distance_iou, ours.complete_iou]
SQUARE, SHIFTED, WIDE = [0.0, 0.0, 2.0, 2.0], [1.0, 1.0, 3.0, 3.0], [0.0, 0.0, 4.0, 2.0]


def random_boxes(count, seed, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)
    corner, sides = torch.rand(2, count, 2, generator=generator, dtype=dtype)
    return torch.cat([corner * 80, corner * 80 + 5 + sides * 60], dim=1)


def test_areas_sides_and_centres():
    boxes = torch.tensor([[[1.0, 2.0, 4.0, 10.0]]])
    assert_close(ours.box_areas(boxes), torch.tensor([[24.0]]))
    assert_close(ours.box_sides(boxes), torch.tensor([[[3.0, 8.0]]]))
    assert_close(ours.box_centres(boxes), torch.tensor([[[2.5, 6.0]]]))


def test_clipped_boxes_lie_in_an_image_of_height_and_width():
    boxes = torch.tensor([[-5.0, 3.0, 30.0, 40.0], [25.0, -9.0, 28.0, -1.0]])
    expected = torch.tensor([[0.0, 3.0, 20.0, 10.0], [20.0, 0.0, 20.0, 0.0]])
    assert_close(ours.clip_boxes(boxes, torch.tensor([10.0, 20])), expected)
    assert ours.clip_boxes(boxes[:0], torch.tensor([10.0, 20])).shape == (0, 4)


# Intersection 1, union 7, enclosing 9: 1/7, less 2/9, less 2/18; the ratios of the sides are equal.
@pytest.mark.parametrize(
    ("measure", "expected"),
    zip(MEASURES, [1 / 7, 1 / 7 - 2 / 9, 1 / 7 - 1 / 9, 1 / 7 - 1 / 9], strict=True),
)
def test_shifted_square(measure, expected):
    assert measure(torch.tensor(SQUARE), torch.tensor(SHIFTED)).item() == pytest.approx(expected)


def test_complete_iou_of_another_ratio():
    # IoU 1/2, centres 1 apart, diagonal 16 + 4; angles of 1/1 and 4/2.
    penalty = 4 / math.pi**2 * (math.atan(2) - math.atan(1)) ** 2
    expected = 1 / 2 - 1 / 20 - penalty**2 / (1 / 2 + penalty)
    found = ours.complete_iou(torch.tensor(SQUARE), torch.tensor(WIDE)).item()
    assert found == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("measure", "pairwise"),
    [
        (ours.iou, theirs.box_iou),
        (ours.generalized_iou, theirs.generalized_box_iou),
        (ours.distance_iou, theirs.distance_box_iou),
        (ours.complete_iou, theirs.complete_box_iou),
    ],
)
def test_broadcast_measures_equal_torchvisions_pairwise_ones(measure, pairwise):
    first, second = random_boxes(6, 0), random_boxes(9, 1)
    assert_close(measure(first[:, None], second), pairwise(first, second), rtol=1e-5, atol=1e-6)


# The weight in complete IoU is a constant for its gradient, which finite differences cannot know:
# the tests of the loss compare it with torchvision's.
@pytest.mark.parametrize("measure", MEASURES[:3])
def test_gradients(measure):
    first = random_boxes(5, 2, torch.float64).requires_grad_()
    second = random_boxes(5, 3, torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(measure, (first, second))


@pytest.mark.parametrize("measure", MEASURES)
@pytest.mark.parametrize(
    "box", [[3.0, 3.0, 3.0, 3.0], [1.0, 3.0, 9.0, 3.0], [8.0, 1.0, 2.0, 5.0], [9.0, 9.0, 1.0, 1.0]]
)
def test_empty_and_inverted_boxes_give_bounded_values_and_gradients(measure, box):
    first = torch.tensor(box, requires_grad=True)
    value = measure(first, torch.tensor(SQUARE))
    assert -8 <= value.item() <= 1
    assert torch.autograd.grad(value, first)[0].abs().max() < 10
    value = measure(first, first.detach())
    assert -8 <= value.item() <= 1
    assert torch.autograd.grad(value, first)[0].isfinite().all()


def test_overlaps_equal_pycocotools():
    first, second = random_boxes(6, 4).double(), random_boxes(5, 5).double()
    corners_and_sides = [
        np.concatenate([b[:, :2], b[:, 2:] - b[:, :2]], axis=1) for b in (first, second)
    ]
    plain = mask.iou(*corners_and_sides, np.zeros(5, dtype=np.uint8))
    crowd = mask.iou(*corners_and_sides, np.ones(5, dtype=np.uint8))
    assert_close(ours.pairwise_iou(first, second), torch.from_numpy(plain))
    assert_close(ours.share_inside(first, second), torch.from_numpy(crowd))


def test_share_inside_is_of_the_first():
    small, large = torch.tensor([SQUARE]), torch.tensor([[1.0, 0.0, 9.0, 9.0]])
    assert ours.share_inside(small, large).item() == 0.5
    assert ours.share_inside(large, small).item() == pytest.approx(2 / 72)
    assert ours.share_inside(torch.zeros(1, 4), large).item() == 0


def test_nothing_compared_with_something():
    nothing, something = torch.zeros(0, 4), torch.tensor([SQUARE])
    assert ours.pairwise_iou(nothing, something).shape == (0, 1)
    assert ours.share_inside(something, nothing).shape == (1, 0)
    assert all(measure(nothing, nothing).shape == (0,) for measure in MEASURES)
