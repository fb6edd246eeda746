import math

import pytest
import torch
from torch.testing import assert_close
from torchvision.ops import (
    complete_box_iou_loss,
    distance_box_iou_loss,
    generalized_box_iou_loss,
)

from detkit.losses import CIoULoss, DIoULoss, GIoULoss, IoULoss

SQUARE = torch.tensor([[0.0, 0.0, 2.0, 2.0]])
SHIFTED = torch.tensor([[1.0, 1.0, 3.0, 3.0]])  # IoU 1/7, enclosing 3 x 3
FAR = torch.tensor([[8.0, 0.0, 10.0, 2.0]])  # IoU 0, enclosing 10 x 2, centres 8 apart


def random_boxes(count, seed):
    generator = torch.Generator().manual_seed(seed)
    corner, sides = torch.rand(2, count, 2, generator=generator)
    return torch.cat([corner * 80, corner * 80 + 5 + sides * 60], dim=1)


@pytest.mark.parametrize(
    ("loss", "shifted", "far"),
    [
        (IoULoss(), 6 / 7, 1.0),
        (IoULoss(mode="log"), math.log(7), -math.log(1e-7)),
        (GIoULoss(), 6 / 7 + 2 / 9, 1 + 12 / 20),
        (DIoULoss(), 6 / 7 + 2 / 18, 1 + 64 / 104),
        (CIoULoss(), 6 / 7 + 2 / 18, 1 + 64 / 104),
    ],
)
def test_by_hand(loss, shifted, far):
    assert loss(SQUARE, SHIFTED).item() == pytest.approx(shifted, abs=1e-6)
    assert loss(SQUARE, FAR).item() == pytest.approx(far, abs=1e-6)
    assert loss(SQUARE, SQUARE).item() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (GIoULoss(), generalized_box_iou_loss),
        (DIoULoss(), distance_box_iou_loss),
        (CIoULoss(), complete_box_iou_loss),
    ],
)
def test_equals_torchvision(ours, theirs):
    predicted, target = random_boxes(60, 0).requires_grad_(), random_boxes(60, 1)
    found, expected = ours(predicted, target), theirs(predicted, target)
    assert_close(found, expected, rtol=1e-6, atol=1e-6)
    weights = torch.linspace(0.5, 2, 60)
    gradients = [
        torch.autograd.grad((losses * weights).sum(), predicted)[0] for losses in (found, expected)
    ]
    assert_close(*gradients, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("loss", [GIoULoss(), DIoULoss(), CIoULoss()])
def test_boxes_that_do_not_touch_are_pulled_together(loss):
    predicted = FAR.clone().requires_grad_()
    loss(predicted, SQUARE).sum().backward()
    assert predicted.grad[0, 0] > 0  # a step down moves the left side towards the square


def test_the_loss_that_pulls_only_what_overlaps():
    predicted = FAR.clone().requires_grad_()
    IoULoss()(predicted, SQUARE).sum().backward()
    assert (predicted.grad == 0).all()
