"""Contracts of assigners, samplers and quality targets: the training target of each prior."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from detkit.contracts import scenes
from detkit.contracts.case import CLASS_NAMES, BrokenContractError, Subject
from detkit.contracts.tensor_checks import (
    require,
    require_finite,
    require_same,
    require_tensor,
    unchanged,
)
from detkit.ops import require_batches
from detkit.structures import BACKGROUND, IGNORED, Assignment, PaddedTargets, Target

_IMAGE = (128, 160)
_RANKINGS = ("nothing", "losses", "overlaps")


def _target(*boxes: list[float]) -> Target:
    table = torch.tensor(boxes, dtype=torch.float32).reshape(-1, 4)
    labels = torch.arange(len(table)) % len(CLASS_NAMES)
    return Target(table, labels, torch.zeros(len(table), dtype=torch.bool))


_USUAL = _target([10, 10, 40, 40], [60, 30, 140, 110])
_SCENES = {
    "no object": Target.empty(),
    "one object": _target([60, 30, 140, 110]),
    "two objects": _USUAL,
    "an object without area": _target([20, 20, 20, 20], [60, 30, 140, 110]),
    "an object outside of the image": _target([500, 500, 540, 540], [60, 30, 140, 110]),
    f"{scenes.MANY} objects": scenes.objects(scenes.MANY, _IMAGE),
}


def _assign(assigner: Any, *images: Target) -> Assignment:
    """Run an assigner on a batch, with predictions if it uses them."""
    require_batches(assigner)
    uses = getattr(assigner, "uses_predictions", None)
    if not isinstance(uses, bool):
        raise BrokenContractError(
            f"`uses_predictions` is {uses!r}, expected True (it receives scores and boxes) or "
            "False (both are None): set it on the class."
        )
    priors, targets = scenes.priors(_IMAGE), PaddedTargets.of(images)
    shape = (len(images), len(priors.boxes))
    scores = torch.full((*shape, len(CLASS_NAMES)), 0.5) if uses else None
    boxes = (priors.boxes + 0.5).repeat(len(images), 1, 1) if uses else None
    with torch.no_grad(), unchanged(priors, scores, boxes, targets):
        assignment = assigner(priors, scores, boxes, targets)
    if not isinstance(assignment, Assignment):
        raise BrokenContractError(
            f"it returned {type(assignment).__name__}, expected an Assignment."
        )
    return assignment


def matches_are_valid(subject: Subject) -> None:
    """One number for each prior: the index of an object, BACKGROUND (-1) or IGNORED (-2)."""
    assigner, priors = subject.build(), scenes.priors(_IMAGE)
    shape = (1, len(priors.boxes))
    for scene, target in _SCENES.items():
        matched, scores = _assign(assigner, target)
        require_tensor(matched, f"matched, with {scene},", shape, torch.int64)
        lowest, highest = int(matched.min()), int(matched.max())
        require(
            lowest >= IGNORED and highest < len(target),
            f"with {scene} matches range from {lowest} to {highest}, expected {IGNORED} (ignored), "
            f"{BACKGROUND} (background) or an index below {len(target)}.",
        )
        if scores is not None:
            require(
                tuple(scores.shape) == shape,
                f"with {scene} scores are {tuple(scores.shape)}, expected {shape}.",
            )
            require_finite(scores, f"with {scene} scores are not finite.")
            positive = scores[matched >= 0]
            inside = bool(((positive >= 0) & (positive <= 1)).all())
            require(inside, f"with {scene} scores of matched priors are outside of 0..1.")


def images_without_objects_are_all_background(subject: Subject) -> None:
    """An image without objects is learned as background."""
    matched = _assign(subject.build(), Target.empty()).matched
    wrong = int((matched != BACKGROUND).sum())
    require(wrong == 0, f"without objects {wrong} priors are not background ({BACKGROUND}).")


def objects_of_usual_size_are_assigned(subject: Subject) -> None:
    """Objects of 30 and 80 pixels, with points of strides 8, 16 and 32 as priors."""
    matched = _assign(subject.build(), _USUAL).matched
    for number, box in enumerate(_USUAL.boxes.tolist()):
        require(
            bool((matched == number).any()),
            f"no prior is assigned to the object {box} in an image of {_IMAGE}, so it is never "
            "learned.",
        )


def images_of_a_batch_are_independent(subject: Subject) -> None:
    """An image gets the same assignment alone and beside images with more objects."""
    assigner = subject.build()
    together = _assign(assigner, *_SCENES.values())
    for number, (scene, target) in enumerate(_SCENES.items()):
        require_same(
            _row(together, number),
            _row(_assign(assigner, target), 0),
            f"with {scene}, an image gets another assignment in a batch than alone: objects in the "
            "padding (`targets.mask` is false) must match nothing.",
        )


def _row(assignment: Assignment, number: int) -> list[Tensor]:
    return [values[number] for values in assignment if values is not None]


def assignments_are_deterministic(subject: Subject) -> None:
    """Nothing is random, and no image affects the next one."""
    assigner = subject.build()
    first = _assign(assigner, _USUAL)
    _assign(assigner, scenes.objects(50, _IMAGE))
    require_same(
        _assign(assigner, _USUAL),
        first,
        "the same image got a different assignment the second time.",
    )


def _matched() -> Tensor:
    """(3, 400): a usual image, one without objects, one with only ignored priors."""
    generator = torch.Generator().manual_seed(0)
    usual = torch.randint(-40, 4, (400,), generator=generator).clamp(min=BACKGROUND)
    usual[::7] = IGNORED
    return torch.stack([usual, torch.full_like(usual, BACKGROUND), torch.full_like(usual, IGNORED)])


def masks_exclude_ignored_priors(subject: Subject) -> None:
    """A bool for each prior, False for ignored priors."""
    sampler, matched = subject.build(), _matched()
    values = torch.rand(matched.shape)
    with unchanged(matched, values):
        mask = require_tensor(sampler(matched, values), "mask", (3, 400), torch.bool)
    wrong = int((mask & (matched == IGNORED)).sum())
    require(wrong == 0, f"{wrong} ignored priors ({IGNORED}) are selected: exclude them.")
    require(bool((mask & (matched >= 0)).any()), "no prior with an object is selected.")
    require(bool((mask & (matched == BACKGROUND)).any()), "no background prior is selected.")


def ranks_by_is_valid(subject: Subject) -> None:
    """Heads read it to compute only what is needed."""
    ranks_by = getattr(subject.build(), "ranks_by", None)
    require(
        ranks_by in _RANKINGS,
        f"`ranks_by` is {ranks_by!r}, expected one of {', '.join(_RANKINGS)}: set it on the class.",
    )


def few_and_no_priors_are_handled(subject: Subject) -> None:
    """At least one of a few priors is selected, and no priors at all are accepted."""
    sampler = subject.build()
    few = torch.tensor([[0, BACKGROUND, BACKGROUND, 1]])
    mask = require_tensor(
        sampler(few, torch.rand(1, 4)), "the mask of a few priors", (1, 4), torch.bool
    )
    require(bool(mask.any()), "none of four priors is selected.")
    no_priors = torch.zeros(2, 0)
    require_tensor(
        sampler(no_priors.long(), no_priors), "the mask without priors", (2, 0), torch.bool
    )


def sampling_is_reproducible_from_a_seed(subject: Subject) -> None:
    """Random numbers come from torch's global generator, whose state every checkpoint stores."""
    sampler, matched = subject.build(), _matched()
    values = scenes.random(*matched.shape)
    torch.manual_seed(3)
    first = sampler(matched, values)
    torch.manual_seed(3)
    require_same(sampler(matched, values), first, "the same seed selected other priors.")


def targets_are_between_0_and_1(subject: Subject) -> None:
    """One number in 0..1 for each positive; also without positives and for empty boxes."""
    part, all_priors = subject.build(), scenes.priors(_IMAGE)
    flag = getattr(part, "learns_background", None)
    require(isinstance(flag, bool), f"`learns_background` is {flag!r}, expected True or False.")
    for count in (0, 1, len(all_priors.boxes)):
        priors = all_priors.at(slice(count))
        boxes = scenes.boxes_in(_IMAGE, count)
        predicted = scenes.boxes_in(_IMAGE, count, seed=1)
        boxes[1::5, 2:] = boxes[1::5, :2]  # without area
        predicted[2::5, 2:] = predicted[2::5, :2]
        with torch.no_grad(), unchanged(priors, boxes, predicted):
            targets = part(priors, boxes, predicted)
        require_tensor(targets, f"the target of {count} positives", (count,), torch.float32)
        require_finite(
            targets, f"targets of {count} positives are not finite: handle boxes without area."
        )
        inside = bool(((targets >= 0) & (targets <= 1)).all())
        require(inside, f"targets range from {_range(targets)}, expected 0..1: clamp them.")


def _range(values: Tensor) -> str:
    return f"{float(values.min()):.3g} to {float(values.max()):.3g}" if len(values) else "nothing"


def exact_predictions_have_high_targets(subject: Subject) -> None:
    """A prior at the centre of its object, with an exact prediction, has a target above 0.5."""
    part, priors = subject.build(), scenes.priors(_IMAGE)
    targets = part(priors, priors.boxes, priors.boxes)
    require(
        bool((targets > 0.5).all()),  # noqa: PLR2004
        f"priors equal to their objects have targets of {_range(targets)}, expected above 0.5.",
    )
