"""Codes of corners with their variances, by hand."""

import torch
from torch.testing import assert_close

from detkit.box_coders.corner_variance import CornerVarianceCoder
from detkit.structures import Priors

REGION = Priors(torch.tensor([[10.0, 20, 30, 60]]), torch.tensor([1.0]), torch.tensor([0]))


def test_corners_shift_in_sides_of_the_prior():
    codes = CornerVarianceCoder(std=0.1).encode(torch.tensor([[12.0, 16, 29, 64]]), REGION)
    # 2 / 20, -4 / 40, -1 / 20 and 4 / 40, divided by 0.1; log variances of 0
    assert_close(codes, torch.tensor([[1.0, -1, -0.5, 1, 0, 0, 0, 0]]))


def test_variances_are_clamped_exponentials():
    logarithms = [0.0, 1.0, -50.0, 50.0]
    variances = CornerVarianceCoder().variances(torch.tensor([[9.0] * 4 + logarithms]))
    assert_close(variances, torch.tensor([[0.0, 1, -10, 10]]).exp())
