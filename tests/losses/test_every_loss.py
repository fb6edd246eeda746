"""Contract of every registered loss."""

import pytest
import torch
from contract_cases import each_promise
from torch.testing import assert_close

from detkit import registry
from detkit.ops import logits_for
from detkit.structures import ClassCounts

FACTORIES = {name: registry.get("loss", name) for name in registry.names("loss")}
CLASS_LOSSES = [name for name, factory in FACTORIES.items() if factory.space == "classes"]
PAIR_LOSSES = [name for name, factory in FACTORIES.items() if factory.space in ("boxes", "codes")]
DISTRIBUTION_LOSSES = [n for n, factory in FACTORIES.items() if factory.space == "distribution"]
GAUSSIAN_LOSSES = [n for n, factory in FACTORIES.items() if factory.space == "gaussian"]
BOX_LOSSES = PAIR_LOSSES + DISTRIBUTION_LOSSES + GAUSSIAN_LOSSES
LABELS = torch.tensor([1, -1, 0, -1, 2])
# Their values come from the whole batch, which tests/losses/test_ghm.py works out by hand.
OF_THE_BATCH = ["ghm_c", "ghm_r"]
COUNTS = ClassCounts(images=100, images_with_class=[60, 30, 20], objects=[90, 40, 20])
WIRED = {"equalisation": {"class_counts": COUNTS}, "seesaw": {"num_classes": 3}}


def build(name, **arguments):
    """A loss that keeps nothing from one call to the next, as outside training."""
    return FACTORIES[name](**arguments, **WIRED.get(name, {})).eval()


def without_those_of_the_batch(names):
    return [name for name in names if name not in OF_THE_BATCH]


def class_inputs(name, dtype=torch.float32):
    """Logits of 3 classes, and of background in a softmax."""
    width = logits_for(3, FACTORIES[name].activation)
    generator = torch.Generator().manual_seed(0)
    return torch.randn(5, width, generator=generator, dtype=torch.float64).to(dtype)


def box_inputs(name, dtype=torch.float32):
    """Pairs that are boxes and, for losses on codes, numbers; logits of 6 bins and distances."""
    generator = torch.Generator().manual_seed(1)
    if name in DISTRIBUTION_LOSSES:
        logits = torch.randn(5, 24, generator=generator, dtype=torch.float64)
        distances = torch.rand(5, 4, generator=generator, dtype=torch.float64) * 5
        return logits.to(dtype), distances.to(dtype)
    if name in GAUSSIAN_LOSSES:
        codes, targets = torch.randn(2, 5, 8, generator=generator, dtype=torch.float64).to(dtype)
        return codes, targets
    corner, sides = torch.rand(2, 10, 2, generator=generator, dtype=torch.float64)
    boxes = torch.cat([corner * 4, corner * 4 + 2 + sides * 3], dim=1).to(dtype)
    return boxes[:5], boxes[5:]


@each_promise("loss")
def test_a_loss_keeps_its_contract(case):
    case()


def test_each_loss_has_a_space():
    assert sorted(CLASS_LOSSES + BOX_LOSSES) == sorted(FACTORIES)


@pytest.mark.parametrize("name", without_those_of_the_batch(CLASS_LOSSES))
def test_each_prior_has_its_class_loss_by_itself(name):
    loss, logits = build(name), class_inputs(name)
    singles = [loss(logits[i : i + 1], LABELS[i : i + 1]) for i in range(5)]
    assert_close(loss(logits, LABELS), torch.cat(singles))


# The factors of seesaw loss are constants for its gradient; tests/losses/test_seesaw.py checks it.
@pytest.mark.parametrize("name", [name for name in CLASS_LOSSES if name != "seesaw"])
@pytest.mark.parametrize("scores", [None, torch.linspace(0.1, 0.9, 5, dtype=torch.float64)])
def test_class_gradients(name, scores):
    loss = build(name)
    logits = class_inputs(name, torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: loss(x, LABELS, scores), logits)


@pytest.mark.parametrize("name", PAIR_LOSSES)  # a cross entropy is that of its target at least
def test_correct_boxes_cost_nothing(name):
    _, target = box_inputs(name)
    assert_close(build(name)(target, target), torch.zeros(5), atol=1e-6, rtol=0)


@pytest.mark.parametrize("name", without_those_of_the_batch(BOX_LOSSES))
def test_each_box_has_its_loss_by_itself(name):
    loss, (predicted, target) = build(name), box_inputs(name)
    singles = [loss(predicted[i : i + 1], target[i : i + 1]) for i in range(5)]
    assert_close(loss(predicted, target), torch.cat(singles))


# The weight in complete IoU is a constant for its gradient, which finite differences cannot know.
@pytest.mark.parametrize("name", [name for name in BOX_LOSSES if name != "ciou"])
def test_box_gradients(name):
    predicted, target = box_inputs(name, torch.float64)
    loss = build(name)
    assert torch.autograd.gradcheck(lambda x: loss(x, target), predicted.requires_grad_())
