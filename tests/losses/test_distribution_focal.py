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


def test_it_is_least_where_the_shares_are_those_of_the_truth():
    logits = torch.zeros(1, 16, requires_grad=True)
    optimizer = torch.optim.SGD([logits], lr=20.0)
    target = torch.tensor([[0.0, 1.3, 2.5, 3.0]])
    for _ in range(300):
        optimizer.zero_grad()
        DistributionFocalLoss()(logits, target).sum().backward()
        optimizer.step()
    mean = logits.detach().view(4, 4).softmax(dim=1) @ torch.arange(4.0)
    assert_close(mean, target[0], atol=0.02, rtol=0)


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
