import math

import pytest
import torch
from torch.nn import functional as F
from torch.testing import assert_close

from detkit.losses import BalancedL1Loss, L1Loss, MSELoss, SmoothL1Loss

PREDICTED = torch.tensor([[0.0, 1.0, -2.0, 0.5], [0.0, 0.0, 0.0, 0.0]])
TARGET = torch.tensor([[0.0, 0.0, 1.0, 0.0], [0.1, -0.1, 0.0, 4.0]])


def test_l1_by_hand():
    assert_close(L1Loss()(PREDICTED, TARGET), torch.tensor([4.5, 4.2]))


def test_smooth_l1_by_hand():
    # Below beta d^2 / (2 beta), above it d - beta / 2.
    expected = torch.tensor([0.5 + 2.5 + 0.125, 0.005 + 0.005 + 3.5])
    assert_close(SmoothL1Loss(beta=1.0)(PREDICTED, TARGET), expected)


def test_smooth_l1_without_a_smooth_part_is_l1():
    assert_close(SmoothL1Loss(beta=0.0)(PREDICTED, TARGET), L1Loss()(PREDICTED, TARGET))


@pytest.mark.parametrize("beta", [1 / 9, 1.0])
def test_the_sum_equals_torchs(beta):
    expected = F.smooth_l1_loss(PREDICTED, TARGET, reduction="sum", beta=beta)
    assert_close(SmoothL1Loss(beta=beta)(PREDICTED, TARGET).sum(), expected)


def test_codes_may_have_any_length():
    assert L1Loss()(torch.zeros(3, 7), torch.ones(3, 7)).tolist() == [7.0] * 3


def test_mse_by_hand():
    assert_close(MSELoss()(PREDICTED, TARGET), torch.tensor([10.25, 16.02]))


def test_balanced_l1_by_hand():
    # With gamma = alpha ln 3, b is 2; the difference 0.5 is on the curve, 3 on the line.
    loss = BalancedL1Loss(alpha=0.5, gamma=0.5 * math.log(3))
    curve = 0.5 / 2 * (2 * 0.5 + 1) * math.log(2) - 0.5 * 0.5
    turn = 0.5 / 2 * 3 * math.log(3) - 0.5
    line = turn + 0.5 * math.log(3) * (3 - 1)
    found = loss(torch.tensor([[0.5, -3.0]]), torch.zeros(1, 2))
    assert found.item() == pytest.approx(curve + line)


@pytest.mark.parametrize("beta", [1.0, 0.25])
def test_the_slope_of_balanced_l1(beta):
    difference = torch.tensor([-2.0, 0.1, 0.2, 1.5], dtype=torch.float64)[:, None].requires_grad_()
    losses = BalancedL1Loss(beta=beta)(difference, torch.zeros(4, 1))
    (slope,) = torch.autograd.grad(losses.sum(), difference)
    factor = math.exp(3) - 1
    curve = [0.5 * math.log(factor * size / beta + 1) for size in (0.1, 0.2)]
    assert slope.flatten().tolist() == pytest.approx([-1.5, *curve, 1.5])
