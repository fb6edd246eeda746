import pytest
import torch
from torch.nn import functional as F
from torch.testing import assert_close

from detkit.losses import L1Loss, SmoothL1Loss

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
