"""Contracts of losses: a float32 value for each prior or box, lowest at the target."""

from __future__ import annotations

from typing import Any, NamedTuple, get_args

import torch
from torch import Tensor

from detkit import registry
from detkit.config.signatures import arguments
from detkit.contracts import scenes
from detkit.contracts.case import BrokenContractError, LeftOutError, Subject
from detkit.contracts.network_trials import set_mode
from detkit.contracts.tensor_checks import (
    require,
    require_close,
    require_finite,
    require_same,
    require_tensor,
    unchanged,
)
from detkit.ops import ClassActivation
from detkit.structures import BACKGROUND, IGNORED

SPACES = ("classes", "boxes", "codes", "distribution", "gaussian")
_WITH_BACKGROUND = ("softmax", "conditional_softmax")  # their last logit
_LABELS = torch.tensor([1, BACKGROUND, 0, BACKGROUND, 2])
_BINS = 6
_EXTREME = 1e4


class Inputs(NamedTuple):
    """The positional arguments of a loss: predictions, then targets."""

    predicted: Tensor
    target: Tensor

    def rows(self, indices: slice | Tensor) -> Inputs:
        """The pairs at these indices."""
        return Inputs(self.predicted[indices], self.target[indices])


def built(subject: Subject) -> Any:
    """The loss in evaluation mode, in which it keeps no state between calls."""
    loss = subject.build()
    set_mode(loss, training=False)
    return loss


def inputs_of(loss: Any, count: int = 5) -> Inputs:
    """Pairs of predictions and targets that fit the space of a loss.

    Raises:
        LeftOutError: Its `space` is invalid; `attributes_are_valid` reports that.
    """
    space = getattr(loss, "space", None)
    if space not in SPACES:
        raise LeftOutError("its `space` is invalid")
    if space == "classes":
        has_background = getattr(loss, "activation", None) in _WITH_BACKGROUND
        width = 4 if has_background else 3
        return Inputs(scenes.random(count, width), _LABELS.repeat(count // 5 + 1)[:count])
    if space == "distribution":
        generator = torch.Generator().manual_seed(1)
        distances = torch.rand(count, 4, generator=generator) * (_BINS - 1)
        return Inputs(scenes.random(count, 4 * _BINS), distances)
    predicted, target = (scenes.boxes_in((9, 9), count, seed) for seed in (1, 2))
    if space == "gaussian":  # equal log variances, so that only boxes make a difference
        logarithms = torch.linspace(-1, 1, 4).expand(count, 4)
        predicted, target = (torch.cat([boxes, logarithms], 1) for boxes in (predicted, target))
    return Inputs(predicted, target)


def values_of(loss: Any, *inputs: Tensor) -> Tensor:
    """The values of a loss.

    Raises:
        LeftOutError: There is not one for each pair; `each_pair_has_one_value` reports that.
    """
    values = loss(*inputs)
    if not isinstance(values, Tensor) or values.shape != inputs[0].shape[:1]:
        raise LeftOutError("it does not return one value for each pair")
    return values


def attributes_are_valid(subject: Subject) -> None:
    """`space` and `weight`; for classification losses also `activation` and `normalised`."""
    loss, factory = built(subject), registry.get("loss", subject.name)
    space = getattr(factory, "space", None)
    require(
        space in SPACES,
        f"`space` is {space!r}, expected one of {', '.join(SPACES)}: set it on the class, where "
        "the configuration check reads it.",
    )
    weight = getattr(loss, "weight", None)
    require(isinstance(weight, float | int), f"`weight` is {weight!r}, expected a number.")
    if space == "classes":
        activation = getattr(loss, "activation", None)
        is_known = activation in get_args(ClassActivation)
        expected = ", ".join(map(repr, get_args(ClassActivation)))
        require(is_known, f"`activation` is {activation!r}, expected one of {expected}.")
        normalised = getattr(loss, "normalised", None)
        require(isinstance(normalised, bool), f"`normalised` is {normalised!r}, expected a bool.")


def each_pair_has_one_value(subject: Subject) -> None:
    """(M,) for M pairs, also for none and many; not their sum or mean."""
    loss = built(subject)
    for count in (0, 1, 5, scenes.MANY):
        inputs = inputs_of(loss, count)
        predicted = inputs.predicted.requires_grad_()
        values = loss(predicted, inputs.target)
        if isinstance(values, Tensor) and values.ndim == 0:
            raise BrokenContractError(
                f"{count} pairs gave one number, expected ({count},): sum only over the last axis; "
                "the head weights, sums and normalises."
            )
        require_tensor(values, f"the loss of {count} pairs", (count,), torch.float32)
        require_finite(values, f"losses of {count} pairs are not finite.")
        require(
            values.requires_grad, f"losses of {count} pairs have no gradient: do not detach them."
        )
        (gradient,) = torch.autograd.grad(values.sum(), predicted)
        require_finite(gradient, f"the gradient of {count} pairs is not finite.")


def values_follow_the_order_of_the_pairs(subject: Subject) -> None:
    """Permuting the pairs permutes the values, so that no value depends on another pair."""
    loss = built(subject)
    inputs, order = inputs_of(loss), torch.tensor([3, 1, 4, 0, 2])
    require_close(
        values_of(loss, *inputs.rows(order)),
        values_of(loss, *inputs)[order],
        "pairs in another order gave other values: each value must depend only on its pair.",
        rtol=1e-4,
    )


def values_are_deterministic(subject: Subject) -> None:
    """In evaluation mode nothing is random and nothing is kept; inputs are not modified."""
    loss = built(subject)
    inputs = inputs_of(loss)
    with unchanged(inputs):
        first = values_of(loss, *inputs)
    message = "the same pairs gave other values the second time: draw no random numbers, keep no "
    message += "state."
    require_same(values_of(loss, *inputs), first, message)


def weight_is_left_to_the_head(subject: Subject) -> None:
    """The loss stores `weight` but does not apply it."""
    if "weight" not in arguments(registry.get("loss", subject.name)):
        return
    values = {**subject.values, "weight": 5.0}
    heavy = built(Subject(subject.family, subject.name, subject.file, values))
    require(heavy.weight == 5.0, f"weight=5.0 is stored as {heavy.weight}: set self.weight.")  # noqa: PLR2004
    inputs = inputs_of(heavy)
    message = "weight=5.0 changed the values: do not apply it, the head does."
    require_same(values_of(heavy, *inputs), values_of(built(subject), *inputs), message)


def half_precision_inputs_are_computed_in_float32(subject: Subject) -> None:
    """bfloat16 and float16 inputs, also under autocast; gradients have the dtype of the inputs."""
    loss = built(subject)
    for dtype in (torch.bfloat16, torch.float16):
        predicted, target = inputs_of(loss)
        predicted = predicted.to(dtype).requires_grad_()
        target = target.to(dtype) if target.is_floating_point() else target
        exact = target.float() if target.is_floating_point() else target
        expected = values_of(loss, predicted.float(), exact)
        with torch.autocast("cpu", torch.bfloat16):
            values = values_of(loss, predicted, target)
        count = (len(predicted),)
        require_tensor(values, f"the loss of {dtype} under autocast", count, torch.float32)
        require_close(
            values,
            expected,
            f"losses of {dtype} differ from those of the same numbers in float32: compute on "
            "`predicted.float()`, without operations that autocast runs in half precision.",
            rtol=1e-4,
            atol=1e-4,
        )
        (gradient,) = torch.autograd.grad(values.sum(), predicted)
        require(gradient.dtype == dtype, f"the gradient of {dtype} is {gradient.dtype}.")


def extreme_inputs_give_finite_values(subject: Subject) -> None:
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
    values = values_of(loss, predicted.requires_grad_(), target)
    (gradient,) = torch.autograd.grad(values.sum(), predicted)
    require_finite(values, "extreme predictions gave losses that are not finite.")
    require_finite(gradient, "extreme predictions gave gradients that are not finite.")


def class_losses_decrease_towards_the_target(subject: Subject) -> None:
    """Raising the logit of the labelled class, or lowering another one, decreases the loss."""
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
        "the loss does not decrease when the logit of the labelled class rises.",
    )
    class_gradient = gradient[:, :3]
    if getattr(loss, "activation", None) == "conditional_softmax":
        # Only objects have a class; background lowers all scores by its own logit.
        class_gradient = class_gradient - torch.where(objects, 0, gradient[:, 3])[:, None]
    require(
        bool((class_gradient[absent] > 0).all()),
        "the loss does not decrease when the logit of an absent class falls.",
    )


def ignored_priors_do_not_affect_others(subject: Subject) -> None:
    """Labels may be IGNORED (-2); the caller discards the values of these priors."""
    loss = built(subject)
    logits, labels = inputs_of(loss)
    not_ignored = labels != 2  # noqa: PLR2004  # a class
    values = values_of(loss, logits, torch.where(not_ignored, labels, IGNORED))
    require_tensor(values, "the loss with ignored priors", (len(labels),), torch.float32)
    require_close(
        values[not_ignored],
        values_of(loss, logits[not_ignored], labels[not_ignored]),
        f"an ignored prior (label {IGNORED}) changed the values of other priors.",
        rtol=1e-4,
    )


def scores_are_soft_targets(subject: Subject) -> None:
    """Scores of 1 equal None; scores of background priors are not used."""
    loss = built(subject)
    logits, labels = inputs_of(loss)
    scores = torch.where(labels >= 0, 1.0, 0.3)
    require_close(
        values_of(loss, logits, labels, scores),
        values_of(loss, logits, labels),
        "scores of 1 for objects changed the values: scores are soft targets of the labelled "
        "class, and scores of background priors must not be used.",
        rtol=1e-4,
    )
    soft = values_of(loss, logits, labels, torch.full((len(labels),), 0.4))
    require_finite(soft, "soft targets gave losses that are not finite.")


def exact_predictions_have_the_lowest_loss(subject: Subject) -> None:
    """An exact prediction has the lowest loss, and moving towards the target lowers it."""
    loss = built(subject)
    predicted, target = inputs_of(loss)
    exact, far = values_of(loss, target, target), values_of(loss, predicted, target)
    require(
        bool((exact <= far + 1e-6).all()),
        f"exact predictions have a loss of {float(exact.max()):.3g}, more than wrong ones: the "
        "minimum is not at the target.",
    )
    near = values_of(loss, target + 0.1 * (predicted - target), target)
    require(
        bool(near.sum() < far.sum()), "predictions closer to the target do not have a lower loss."
    )


def correct_distributions_have_a_lower_loss(subject: Subject) -> None:
    """Logits that peak at the true distance have a lower loss than uniform ones."""
    loss = built(subject)
    distances = torch.tensor([[0.0, 1, 2, 3], [4, 3, 2, 1]])
    uniform_logits = torch.zeros(2, 4, _BINS)
    peaked_logits = uniform_logits.scatter(2, distances.long()[..., None], 5.0)
    correct, uniform = (
        values_of(loss, peaked_logits.flatten(1), distances),
        values_of(loss, uniform_logits.flatten(1), distances),
    )
    require(
        bool((correct < uniform).all()),
        "distributions that peak at the true distance do not have a lower loss.",
    )
