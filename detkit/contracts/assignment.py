"""What assigners, samplers and quality targets promise: what each prior learns."""

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
from detkit.structures import BACKGROUND, IGNORED, Assignment, Target

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


def _assigned(assigner: Any, target: Target) -> Assignment:
    """What an assigner says, with predictions where it uses them."""
    uses = getattr(assigner, "uses_predictions", None)
    if not isinstance(uses, bool):
        raise BrokenContractError(
            f"`uses_predictions` is {uses!r}, expected True (it is given scores and boxes) or "
            "False (both are None): set it on the class."
        )
    priors = scenes.priors(_IMAGE)
    scores = torch.full((len(priors.boxes), len(CLASS_NAMES)), 0.5) if uses else None
    boxes = priors.boxes + 0.5 if uses else None
    with torch.no_grad(), unchanged(priors, scores, boxes, target):
        found = assigner(priors, scores, boxes, target)
    if not isinstance(found, Assignment):
        raise BrokenContractError(f"it gave {type(found).__name__}, expected an Assignment.")
    return found


def matches_are_objects_or_background_or_ignored(subject: Subject) -> None:
    """One number for each prior: an index of an object, BACKGROUND (-1) or IGNORED (-2)."""
    assigner, priors = subject.build(), scenes.priors(_IMAGE)
    count = len(priors.boxes)
    for scene, target in _SCENES.items():
        matched, scores = _assigned(assigner, target)
        require_tensor(matched, f"matched, with {scene},", (count,), torch.int64)
        lowest, highest = int(matched.min()), int(matched.max())
        require(
            lowest >= IGNORED and highest < len(target),
            f"with {scene} matches reach from {lowest} to {highest}, expected {IGNORED} (ignored), "
            f"{BACKGROUND} (background) or an index below {len(target)}.",
        )
        if scores is not None:
            require(tuple(scores.shape) == (count,), f"scores are {tuple(scores.shape)}.")
            require_finite(scores, f"with {scene} scores are not finite.")
            positive = scores[matched >= 0]
            inside = bool(((positive >= 0) & (positive <= 1)).all())
            require(inside, f"with {scene} scores of matched priors are not in 0..1.")


def without_objects_all_is_background(subject: Subject) -> None:
    """An image without objects is learned as such."""
    matched = _assigned(subject.build(), Target.empty()).matched
    wrong = int((matched != BACKGROUND).sum())
    require(wrong == 0, f"without objects {wrong} priors are not {BACKGROUND}, background.")


def objects_of_a_usual_size_are_found(subject: Subject) -> None:
    """Of 30 and of 80 pixels, over points of strides 8, 16 and 32."""
    matched = _assigned(subject.build(), _USUAL).matched
    for number, box in enumerate(_USUAL.boxes.tolist()):
        require(
            bool((matched == number).any()),
            f"no prior takes the object {box} of an image of {_IMAGE}, so it is never learned.",
        )


def the_same_is_assigned_twice(subject: Subject) -> None:
    """Nothing is random, and no image changes the next."""
    assigner = subject.build()
    first = _assigned(assigner, _USUAL)
    _assigned(assigner, scenes.objects(50, _IMAGE))
    require_same(_assigned(assigner, _USUAL), first, "the same image got another assignment.")


def _matched() -> Tensor:
    """(3, 400): a usual image, one without objects, one of which all is ignored."""
    generator = torch.Generator().manual_seed(0)
    usual = torch.randint(-40, 4, (400,), generator=generator).clamp(min=BACKGROUND)
    usual[::7] = IGNORED
    return torch.stack([usual, torch.full_like(usual, BACKGROUND), torch.full_like(usual, IGNORED)])


def masks_leave_out_what_is_ignored(subject: Subject) -> None:
    """A bool for each prior, False where it is ignored."""
    sampler, matched = subject.build(), _matched()
    values = torch.rand(matched.shape)
    with unchanged(matched, values):
        mask = require_tensor(sampler(matched, values), "mask", (3, 400), torch.bool)
    wrong = int((mask & (matched == IGNORED)).sum())
    require(wrong == 0, f"{wrong} ignored priors ({IGNORED}) count: leave them out.")
    require(bool((mask & (matched >= 0)).any()), "no prior with an object counts.")
    require(bool((mask & (matched == BACKGROUND)).any()), "no background counts.")


def what_it_ranks_by_is_known(subject: Subject) -> None:
    """Heads ask for it, to compute no more than is needed."""
    ranks_by = getattr(subject.build(), "ranks_by", None)
    require(
        ranks_by in _RANKINGS,
        f"`ranks_by` is {ranks_by!r}, expected one of {', '.join(_RANKINGS)}: set it on the class.",
    )


def a_few_priors_and_none_pass(subject: Subject) -> None:
    """Of a few some count, and images without priors do no harm."""
    sampler = subject.build()
    few = torch.tensor([[0, BACKGROUND, BACKGROUND, 1]])
    mask = require_tensor(sampler(few, torch.rand(1, 4)), "mask of a few", (1, 4), torch.bool)
    require(bool(mask.any()), "of four priors none counts.")
    nothing = torch.zeros(2, 0)
    require_tensor(sampler(nothing.long(), nothing), "mask without priors", (2, 0), torch.bool)


def the_same_seed_draws_the_same(subject: Subject) -> None:
    """Random numbers are of torch's global generator, whose state is in every checkpoint."""
    sampler, matched = subject.build(), _matched()
    values = scenes.random(*matched.shape)
    torch.manual_seed(3)
    first = sampler(matched, values)
    torch.manual_seed(3)
    require_same(sampler(matched, values), first, "the same seed drew other priors.")


def targets_are_shares(subject: Subject) -> None:
    """One number in 0..1 for each positive, also for none and for boxes without area."""
    part, everything = subject.build(), scenes.priors(_IMAGE)
    flag = getattr(part, "learns_background", None)
    require(isinstance(flag, bool), f"`learns_background` is {flag!r}, expected True or False.")
    for count in (0, 1, len(everything.boxes)):
        priors = type(everything)(*(field[:count] for field in everything))
        boxes = scenes.boxes_in(_IMAGE, count)
        predicted = scenes.boxes_in(_IMAGE, count, seed=1)
        boxes[1::5, 2:] = boxes[1::5, :2]  # without area
        predicted[2::5, 2:] = predicted[2::5, :2]
        with torch.no_grad(), unchanged(priors, boxes, predicted):
            found = part(priors, boxes, predicted)
        require_tensor(found, f"the target of {count} positives", (count,), torch.float32)
        require_finite(found, f"targets of {count} positives are not finite: mind empty boxes.")
        inside = bool(((found >= 0) & (found <= 1)).all())
        require(inside, f"targets reach from {_range(found)}, expected 0..1: clamp them.")


def _range(values: Tensor) -> str:
    return f"{float(values.min()):.3g} to {float(values.max()):.3g}" if len(values) else "nothing"


def the_best_place_has_a_high_target(subject: Subject) -> None:
    """A prior in the middle of its object, predicted exactly, has a target above a half."""
    part, priors = subject.build(), scenes.priors(_IMAGE)
    found = part(priors, priors.boxes, priors.boxes)
    require(
        bool((found > 0.5).all()),  # noqa: PLR2004
        f"priors that are their objects have targets of {_range(found)}, expected above 0.5.",
    )
