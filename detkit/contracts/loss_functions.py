"""What losses promise: one value for each prior or box, in float32, that falls to the target."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from detkit import registry
from detkit.config.signatures import arguments
from detkit.contracts import scenes
from detkit.contracts.case import BrokenContractError, LeftOutError, Subject
from detkit.contracts.networks import set_mode
from detkit.contracts.tensor_checks import (
    require,
    require_close,
    require_finite,
    require_same,
    require_tensor,
    unchanged,
)
from detkit.structures import BACKGROUND, IGNORED

SPACES = ("classes", "boxes", "codes", "distribution")
_LABELS = torch.tensor([1, BACKGROUND, 0, BACKGROUND, 2])
_BINS = 6
_EXTREME = 1e4


class Inputs(NamedTuple):
    """What a loss is given, by position: predictions, then what they should be."""

    predicted: Tensor
    target: Tensor

    def rows(self, chosen: slice | Tensor) -> Inputs:
        """Some of the pairs."""
        return Inputs(self.predicted[chosen], self.target[chosen])


def built(subject: Subject) -> Any:
    """The loss in evaluation mode, in which it keeps nothing from one call to the next."""
    loss = subject.build()
    set_mode(loss, training=False)
    return loss


def inputs_of(loss: Any, count: int = 5) -> Inputs:
    """Pairs that the space of a loss takes.

    Raises:
        LeftOutError: It does not tell its space, which a promise of its own says.
    """
    space = getattr(loss, "space", None)
    if space not in SPACES:
        raise LeftOutError("it does not tell its `space`")
    if space == "classes":
        softmax = getattr(loss, "activation", None) == "softmax"
        width = 4 if softmax else 3  # softmax has background last
        return Inputs(scenes.random(count, width), _LABELS.repeat(count // 5 + 1)[:count])
    if space == "distribution":
        generator = torch.Generator().manual_seed(1)
        distances = torch.rand(count, 4, generator=generator) * (_BINS - 1)
        return Inputs(scenes.random(count, 4 * _BINS), distances)
    predicted, target = (scenes.boxes_in((9, 9), count, seed) for seed in (1, 2))
    return Inputs(predicted, target)


def values_of(loss: Any, *given: Tensor) -> Tensor:
    """The values of pairs.

    Raises:
        LeftOutError: They are not one for each pair, which a promise of its own says.
    """
    found = loss(*given)
    if not isinstance(found, Tensor) or found.shape != given[0].shape[:1]:
        raise LeftOutError("it gives no value for each pair")
    return found


def its_attributes_tell_what_it_takes(subject: Subject) -> None:
    """`space`, `weight`, and of a loss of classes `activation` and `normalised`."""
    loss, factory = built(subject), registry.get("loss", subject.name)
    space = getattr(factory, "space", None)
    require(
        space in SPACES,
        f"`space` is {space!r}, expected one of {', '.join(SPACES)}: set it on the class, where "
        "the check of a configuration reads it.",
    )
    weight = getattr(loss, "weight", None)
    require(isinstance(weight, float | int), f"`weight` is {weight!r}, expected a number.")
    if space == "classes":
        activation = getattr(loss, "activation", None)
        known = activation in ("sigmoid", "softmax")
        require(known, f"`activation` is {activation!r}, expected 'sigmoid' or 'softmax'.")
        normalised = getattr(loss, "normalised", None)
        require(isinstance(normalised, bool), f"`normalised` is {normalised!r}, expected a bool.")


def each_pair_has_a_value(subject: Subject) -> None:
    """(M,) for M pairs, none and many, not their sum or mean."""
    loss = built(subject)
    for count in (0, 1, 5, scenes.MANY):
        given = inputs_of(loss, count)
        predicted = given.predicted.requires_grad_()
        found = loss(predicted, given.target)
        if isinstance(found, Tensor) and found.ndim == 0:
            raise BrokenContractError(
                f"{count} pairs gave one number, expected ({count},): sum over the last axis only; "
                "the head weighs, sums and normalises."
            )
        require_tensor(found, f"the loss of {count} pairs", (count,), torch.float32)
        require_finite(found, f"losses of {count} pairs are not finite.")
        require(found.requires_grad, f"losses of {count} pairs have no way for gradients.")
        (gradient,) = torch.autograd.grad(found.sum(), predicted)
        require_finite(gradient, f"the gradient of {count} pairs is not finite.")


def values_stand_in_the_order_of_the_pairs(subject: Subject) -> None:
    """Turned round, the values are turned round; so no value is of another pair."""
    loss = built(subject)
    given, order = inputs_of(loss), torch.tensor([3, 1, 4, 0, 2])
    require_close(
        values_of(loss, *given.rows(order)),
        values_of(loss, *given)[order],
        "pairs in another order gave other values: a value is of its own pair.",
        rtol=1e-4,
    )


def the_same_costs_the_same(subject: Subject) -> None:
    """In evaluation mode nothing is random and nothing is kept; inputs stay as they are."""
    loss = built(subject)
    given = inputs_of(loss)
    with unchanged(given):
        first = values_of(loss, *given)
    said = "the same pairs gave other values the second time: nothing random, nothing kept."
    require_same(values_of(loss, *given), first, said)


def the_weight_is_left_to_the_head(subject: Subject) -> None:
    """`weight` is kept and not applied."""
    if "weight" not in arguments(registry.get("loss", subject.name)):
        return
    values = {**subject.values, "weight": 5.0}
    heavy = built(Subject(subject.family, subject.name, subject.file, values))
    require(heavy.weight == 5.0, f"weight=5.0 is kept as {heavy.weight}: set self.weight.")  # noqa: PLR2004
    given = inputs_of(heavy)
    said = "weight=5.0 changed the values: the head applies it, so that it counts once."
    require_same(values_of(heavy, *given), values_of(built(subject), *given), said)


def half_precision_is_computed_in_float32(subject: Subject) -> None:
    """bfloat16 and float16 inputs, also under autocast; gradients come in their type."""
    loss = built(subject)
    for dtype in (torch.bfloat16, torch.float16):
        predicted, target = inputs_of(loss)
        predicted = predicted.to(dtype).requires_grad_()
        target = target.to(dtype) if target.is_floating_point() else target
        exact = target.float() if target.is_floating_point() else target
        expected = values_of(loss, predicted.float(), exact)
        with torch.autocast("cpu", torch.bfloat16):
            found = values_of(loss, predicted, target)
        count = (len(predicted),)
        require_tensor(found, f"the loss of {dtype} under autocast", count, torch.float32)
        require_close(
            found,
            expected,
            f"losses of {dtype} are not those of the same numbers in float32: compute on "
            "`predicted.float()`, not in operations that autocast takes to half precision.",
            rtol=1e-4,
            atol=1e-4,
        )
        (gradient,) = torch.autograd.grad(found.sum(), predicted)
        require(gradient.dtype == dtype, f"the gradient of {dtype} is {gradient.dtype}.")


def extreme_values_do_no_harm(subject: Subject) -> None:
    """Logits and differences of 10,000, and boxes without area, give finite gradients."""
    loss = built(subject)
    predicted, target = inputs_of(loss)
    if loss.space in ("boxes", "codes"):
        predicted, target = predicted.clone(), target.clone()
        predicted[0] += _EXTREME
        predicted[1, 2:] = predicted[1, :2]
        target[2, 2:] = target[2, :2]
        predicted[3] = target[3]
    else:
        predicted = torch.full_like(predicted, _EXTREME)
        predicted[:, ::2] = -_EXTREME
    found = values_of(loss, predicted.requires_grad_(), target)
    (gradient,) = torch.autograd.grad(found.sum(), predicted)
    require_finite(found, "extreme predictions gave losses that are not finite.")
    require_finite(gradient, "extreme predictions gave gradients that are not finite.")


def class_losses_fall_towards_the_target(subject: Subject) -> None:
    """The logit of an object's class should rise, those of absent classes fall."""
    loss = built(subject)
    logits, labels = inputs_of(loss)
    (gradient,) = torch.autograd.grad(
        values_of(loss, logits.requires_grad_(), labels).sum(), logits
    )
    objects = labels >= 0
    absent = torch.ones(len(labels), 3, dtype=torch.bool)
    absent[objects, labels[objects]] = False
    require(
        bool((gradient[objects, labels[objects]] < 0).all()),
        "the loss does not fall where the logit of the labelled class rises.",
    )
    require(
        bool((gradient[:, :3][absent] > 0).all()),
        "the loss does not fall where the logit of an absent class falls.",
    )


def ignored_priors_change_no_other_value(subject: Subject) -> None:
    """Labels may be IGNORED (-2); the caller leaves the values of these out."""
    loss = built(subject)
    logits, labels = inputs_of(loss)
    kept = labels != 2  # noqa: PLR2004  # a class
    found = values_of(loss, logits, torch.where(kept, labels, IGNORED))
    require_tensor(found, "the loss with ignored priors", (len(labels),), torch.float32)
    require_close(
        found[kept],
        values_of(loss, logits[kept], labels[kept]),
        f"a prior with the label {IGNORED}, ignored, changed the values of others.",
        rtol=1e-4,
    )


def scores_are_soft_targets_of_objects(subject: Subject) -> None:
    """Scores of 1 change nothing, those of background are not used, None is 1."""
    loss = built(subject)
    logits, labels = inputs_of(loss)
    scores = torch.where(labels >= 0, 1.0, 0.3)
    require_close(
        values_of(loss, logits, labels, scores),
        values_of(loss, logits, labels),
        "scores of 1 for objects changed the values: they are the soft target of the labelled "
        "class, and those of background are unused.",
        rtol=1e-4,
    )
    soft = values_of(loss, logits, labels, torch.full((len(labels),), 0.4))
    require_finite(soft, "soft targets gave losses that are not finite.")


def exact_predictions_cost_least(subject: Subject) -> None:
    """What is predicted exactly costs no more than anything else, and half way costs less."""
    loss = built(subject)
    predicted, target = inputs_of(loss)
    exact, far = values_of(loss, target, target), values_of(loss, predicted, target)
    require(
        bool((exact <= far + 1e-6).all()),
        f"exact predictions cost {float(exact.max()):.3g}, more than wrong ones: the target is not "
        "where the loss is least.",
    )
    near = values_of(loss, target + 0.1 * (predicted - target), target)
    require(
        bool(near.sum() < far.sum()), "predictions that come closer to the target cost no less."
    )


def distributions_gather_at_their_distance(subject: Subject) -> None:
    """Logits that are high at the true distance cost less than even ones."""
    loss = built(subject)
    distances = torch.tensor([[0.0, 1, 2, 3], [4, 3, 2, 1]])
    even = torch.zeros(2, 4, _BINS)
    high = even.scatter(2, distances.long()[..., None], 5.0)
    found, worse = (
        values_of(loss, high.flatten(1), distances),
        values_of(loss, even.flatten(1), distances),
    )
    require(
        bool((found < worse).all()), "distributions with their mass at the true distance cost more."
    )
