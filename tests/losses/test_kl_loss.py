"""The KL loss, by hand."""

import math

import pytest
import torch
from torch.testing import assert_close

from detkit.losses.kl import KLLoss


def codes(differences, logarithms):
    return torch.tensor([[*differences, *logarithms]], requires_grad=True)


OBJECT = torch.zeros(1, 8)


def test_small_differences_are_squared_and_large_ones_are_not():
    # exp(-a) d^2 / 2 + a / 2 up to 1, exp(-a) (|d| - 1/2) + a / 2 beyond
    predicted = codes([0.5, -1.0, 3.0, 0.0], [0.0, math.log(2), -math.log(4), 1.0])
    expected = 0.125 + (0.25 + math.log(2) / 2) + (4 * 2.5 - math.log(2)) + 0.5
    assert_close(KLLoss()(predicted, OBJECT), torch.tensor([expected]))


def test_gradients_of_boxes_and_variances():
    predicted = codes([0.5, 3.0, 0.0, 0.0], [math.log(2), 0.0, 0.0, -1.0])
    (gradient,) = torch.autograd.grad(KLLoss()(predicted, OBJECT).sum(), predicted)
    # d exp(-a) or exp(-a) for codes; 1/2 - exp(-a) * smooth L1 for log variances
    of_boxes, of_variances = [0.25, 1.0, 0.0, 0.0], [0.5 - 0.0625, 0.5 - 2.5, 0.5, 0.5]
    assert_close(gradient, torch.tensor([of_boxes + of_variances]))


def test_the_best_variance_is_the_squared_difference():
    logarithms = torch.linspace(-4, 1, 501)
    predicted = torch.zeros(501, 8)
    predicted[:, 0], predicted[:, 4] = 0.5, logarithms
    best = logarithms[KLLoss()(predicted, torch.zeros(501, 8)).argmin()]
    assert float(best) == pytest.approx(math.log(0.25), abs=0.01)


def test_the_variances_of_the_object_have_no_effect():
    target = torch.cat([torch.ones(1, 4), torch.full((1, 4), 7.0)], dim=1)
    predicted = codes([0.0] * 4, [0.3] * 4)
    assert_close(KLLoss()(predicted, target), KLLoss()(predicted, target[:, :4]))
