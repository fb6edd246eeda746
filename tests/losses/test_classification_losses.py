import math

import pytest
import torch
from torch.autograd.graph import saved_tensors_hooks
from torch.nn import functional as F
from torch.testing import assert_close
from torchvision.ops import sigmoid_focal_loss

from detkit.losses import BinaryCrossEntropy, CrossEntropy, FocalLoss

LABELS = torch.tensor([2, -1, 0, 1, -1, 2])
SCORES = torch.tensor([1.0, 1.0, 0.0, 0.3, 0.6, 0.9])


def random_logits(classes, dtype=torch.float32):
    generator = torch.Generator().manual_seed(0)
    return torch.randn(6, classes, generator=generator, dtype=dtype) * 4


def dense_targets(scores=None):
    """Targets as other libraries expect them: (M, C) with the score at the label."""
    values = torch.ones(6) if scores is None else scores
    return F.one_hot(LABELS.clamp(min=0), 3) * ((LABELS >= 0) * values)[:, None]


def with_gradient(function, logits):
    logits = logits.clone().requires_grad_()
    losses = function(logits)
    return losses, torch.autograd.grad((losses * torch.arange(1.0, 7.0)).sum(), logits)[0]


def test_focal_by_hand():
    # p = 0.5 and 0.8; the object has the second class.
    logits = torch.tensor([[0.0, math.log(4)]])
    others = 0.75 * 0.5**2 * math.log(2)
    expected = others + 0.25 * 0.2**2 * -math.log(0.8)
    assert FocalLoss()(logits, torch.tensor([1])).item() == pytest.approx(expected)
    background = others + 0.75 * 0.8**2 * -math.log(0.2)
    assert FocalLoss()(logits, torch.tensor([-1])).item() == pytest.approx(background)


@pytest.mark.parametrize("scores", [None, SCORES])
@pytest.mark.parametrize(("alpha", "gamma"), [(0.25, 2.0), (0.6, 1.5), (0.5, 0.0)])
def test_focal_equals_torchvision(alpha, gamma, scores):
    targets = dense_targets(scores)
    ours = FocalLoss(alpha=alpha, gamma=gamma)
    expected = with_gradient(
        lambda x: sigmoid_focal_loss(x, targets, alpha, gamma).sum(dim=-1), random_logits(3)
    )
    found = with_gradient(lambda x: ours(x, LABELS, scores), random_logits(3))
    assert_close(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("scores", [None, SCORES])
def test_bce_equals_torch(scores):
    targets = dense_targets(scores)
    expected = with_gradient(
        lambda x: F.binary_cross_entropy_with_logits(x, targets, reduction="none").sum(dim=-1),
        random_logits(3),
    )
    found = with_gradient(lambda x: BinaryCrossEntropy()(x, LABELS, scores), random_logits(3))
    assert_close(found, expected, rtol=1e-5, atol=1e-6)


def test_bce_by_hand():
    logits = torch.tensor([[0.0, math.log(4)]])
    half = BinaryCrossEntropy()(logits, torch.tensor([1]), torch.tensor([0.5])).item()
    assert half == pytest.approx(math.log(2) - 0.5 * math.log(0.8) - 0.5 * math.log(0.2))


def test_cross_entropy_equals_torch_with_background_last():
    targets = torch.where(LABELS >= 0, LABELS, 3)
    expected = with_gradient(
        lambda x: F.cross_entropy(x, targets, reduction="none"), random_logits(4)
    )
    found = with_gradient(lambda x: CrossEntropy()(x, LABELS), random_logits(4))
    assert_close(found, expected)


def test_a_soft_target_of_cross_entropy_leaves_the_rest_to_background():
    targets = torch.cat([dense_targets(SCORES), torch.zeros(6, 1)], dim=1)
    targets[:, 3] = 1 - targets.sum(dim=1)
    logits = random_logits(4)
    expected = F.cross_entropy(logits, targets, reduction="none")
    assert_close(CrossEntropy()(logits, LABELS, SCORES), expected)


@pytest.mark.parametrize("loss", [FocalLoss(), BinaryCrossEntropy()])
def test_what_is_predicted_well_has_a_small_loss_and_not_a_rounded_one(loss):
    # At logit 17 the entropy is e^-17 = 4.1e-8; taken from a sum with 17 it would be rounded to 0.
    logits = torch.tensor([[17.0, -40.0]])
    exact = loss(logits.double(), torch.tensor([0]))
    assert exact > 0
    assert_close(loss(logits, torch.tensor([0])).double(), exact, rtol=1e-2, atol=0)


def test_focal_keeps_one_tensor_of_the_size_of_the_logits_for_its_gradient():
    logits = torch.randn(50, 80, requires_grad=True)
    kept = []
    with saved_tensors_hooks(lambda tensor: kept.append(tensor) or tensor, lambda tensor: tensor):
        FocalLoss()(logits, torch.full((50,), -1)).sum()
    assert sum(tensor.numel() >= 50 * 80 for tensor in kept) == 1


def test_focal_with_a_small_gamma_has_a_gradient_where_nothing_is_missed():
    logits = torch.tensor([[200.0, -200.0]], requires_grad=True)
    FocalLoss(gamma=0.5)(logits, torch.tensor([0])).sum().backward()
    assert logits.grad.isfinite().all()


def test_focal_compiles_in_one_graph():
    logits = random_logits(3)
    compiled = torch.compile(FocalLoss(), backend="eager", fullgraph=True)
    expected = with_gradient(lambda x: FocalLoss()(x, LABELS), logits)
    assert_close(with_gradient(lambda x: compiled(x, LABELS), logits), expected)
