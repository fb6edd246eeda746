import math

import pytest
import torch
from torch.testing import assert_close

from detkit.losses import DistributionFocalLoss


def logits_of(*probabilities):
    """The same distribution for each side."""
    return torch.tensor(probabilities).log().repeat(1, 4)


def test_by_hand():
    # Between distance 1, with 0.5, and 2, with 0.25; the truth 1.25 is nearer to 1.
    loss = DistributionFocalLoss()(logits_of(0.125, 0.5, 0.25, 0.125), torch.full((1, 4), 1.25))
    assert loss.item() == pytest.approx(0.75 * math.log(2) + 0.25 * math.log(4))


def test_a_whole_distance_is_plain_cross_entropy_also_the_first_and_the_last():
    logits = logits_of(0.125, 0.5, 0.25, 0.125)
    for distance, probability in ((0.0, 0.125), (1.0, 0.5), (2.0, 0.25), (3.0, 0.125)):
        loss = DistributionFocalLoss()(logits, torch.full((1, 4), distance))
        assert loss.item() == pytest.approx(-math.log(probability))


def test_sides_are_averaged():
    distances = torch.tensor([[0.0, 1.0, 1.25, 3.0]])
    loss = DistributionFocalLoss()(logits_of(0.125, 0.5, 0.25, 0.125), distances)
    between = 0.75 * math.log(2) + 0.25 * math.log(4)
    expected = (2 * math.log(8) + math.log(2) + between) / 4
    assert loss.item() == pytest.approx(expected)


def test_each_side_has_its_own_logits_in_the_order_of_the_coder():
    logits = torch.zeros(1, 12)
    logits[0, 3:6] = torch.tensor([0.0, 50.0, 0.0])  # the top is at distance 1
    losses = DistributionFocalLoss()(logits, torch.tensor([[1.0, 1.0, 1.0, 1.0]]))
    assert losses.item() == pytest.approx(3 / 4 * math.log(3))


def test_where_the_shares_are_those_of_the_truth_there_is_nothing_to_learn():
    logits = logits_of(1e-9, 0.7, 0.3, 1e-9).requires_grad_()
    DistributionFocalLoss()(logits, torch.full((1, 4), 1.3)).sum().backward()
    assert_close(logits.grad, torch.zeros(1, 16), atol=1e-6, rtol=0)


def test_gradients():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(3, 20, generator=generator, dtype=torch.float64).requires_grad_()
    target = torch.rand(3, 4, generator=generator, dtype=torch.float64) * 4
    target[0] = torch.tensor([0.0, 4.0, 1.0, 2.0])
    assert torch.autograd.gradcheck(lambda x: DistributionFocalLoss()(x, target), logits)


def test_extreme_logits():
    logits = torch.full((1, 8), -1e4)
    logits[:, ::2] = 1e4
    logits.requires_grad_()
    loss = DistributionFocalLoss()(logits, torch.full((1, 4), 0.5))
    loss.sum().backward()
    assert loss.isfinite().all()
    assert logits.grad.isfinite().all()
