import math

import pytest
import torch
from torch.testing import assert_close

from detkit.losses import BinaryCrossEntropy, QualityFocalLoss

HALF, FIFTH = 0.0, math.log(0.25)  # the logits of 1/2 and 1/5


def test_by_hand():
    # The object's class has score 1/2 and target 3/4, the other class 1/5.
    logits, labels = torch.tensor([[HALF, FIFTH]]), torch.tensor([0])
    own = (1 / 4) ** 2 * math.log(2)  # the entropy of 1/2 is ln 2 for any target
    other = (1 / 5) ** 2 * -math.log(4 / 5)
    loss = QualityFocalLoss()(logits, labels, torch.tensor([0.75]))
    assert loss.item() == pytest.approx(own + other)
    # Of background both are other classes.
    loss = QualityFocalLoss()(logits, torch.tensor([-1]))
    assert loss.item() == pytest.approx((1 / 2) ** 2 * math.log(2) + other)
    # Without a soft target it is 1.
    loss = QualityFocalLoss()(logits, labels)
    assert loss.item() == pytest.approx((1 / 2) ** 2 * math.log(2) + other)


def test_beta():
    logits, labels = torch.tensor([[FIFTH]]), torch.tensor([0])
    entropy = -(0.6 * math.log(0.2) + 0.4 * math.log(0.8))
    for beta in (0.5, 1.0, 3.0):
        loss = QualityFocalLoss(beta=beta)(logits, labels, torch.tensor([0.6]))
        assert loss.item() == pytest.approx(0.4**beta * entropy, rel=1e-5)


def test_without_beta_it_is_cross_entropy():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(6, 3, generator=generator)
    labels = torch.tensor([0, -1, 2, 1, -1, 0])
    scores = torch.rand(6, generator=generator)
    found = QualityFocalLoss(beta=0.0)(logits, labels, scores)
    assert_close(found, BinaryCrossEntropy()(logits, labels, scores))


@pytest.mark.parametrize("beta", [0.5, 1.0, 2.0])
def test_at_the_target_there_is_nothing_to_learn(beta):
    logits = torch.tensor([[HALF]], requires_grad=True)
    QualityFocalLoss(beta=beta)(logits, torch.tensor([0]), torch.tensor([0.5])).sum().backward()
    assert abs(logits.grad.item()) < 1e-12


@pytest.mark.parametrize("beta", [0.0, 1.0, 2.0])
def test_gradients(beta):
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(4, 3, generator=generator, dtype=torch.float64).requires_grad_()
    labels = torch.tensor([0, -1, 2, 1])
    scores = torch.tensor([0.9, 0.5, 0.0, 1.0], dtype=torch.float64)
    loss = QualityFocalLoss(beta=beta)
    assert torch.autograd.gradcheck(lambda x: loss(x, labels, scores), logits)
