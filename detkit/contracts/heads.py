"""Contracts of heads, proposers and roi heads: losses to train with, and detections."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from detkit.contracts import scenes
from detkit.contracts.case import CLASS_NAMES, BrokenContractError, Subject
from detkit.contracts.network_trials import require_gradients, set_mode
from detkit.contracts.padded import split_images, split_regions
from detkit.contracts.tensor_checks import (
    require,
    require_close,
    require_finite,
    require_same,
    require_tensor,
    unchanged,
)
from detkit.interfaces import AssigningHead
from detkit.structures import IGNORED, Batch, DensePredictions, Detections, PaddedTargets, Regions

_ROUNDING = 0.05  # of a loss under bfloat16, relative
_EDGE = 1e-3  # pixels


class Verbs(NamedTuple):
    """A part that learns and detects, under any method names.

    Attributes:
        part: The part.
        predict: The first so many images to detections.
        loss: Objects of two images to losses.
        given: What the verbs are given.
    """

    part: Any
    predict: Callable[[int], list[Detections]]
    loss: Callable[[PaddedTargets], dict[str, Tensor]]
    given: Any


def verbs(subject: Subject, training: bool = False) -> Verbs:
    """The part of a family that learns and detects."""
    if subject.family == "detector":
        return _of_detector(subject, training)
    subject = subject.with_all_detections()
    part, specs = scenes.build_on_levels(subject)
    set_mode(part, training)
    maps, sizes, regions = scenes.maps(specs), scenes.size_tensor(), scenes.regions()

    def first(count: int) -> list[Tensor]:
        return [level[:count] for level in maps]

    if subject.family == "head":
        return Verbs(
            part,
            lambda count: split_images(part.predict(first(count), sizes[:count]), count),
            lambda targets: part.loss(maps, targets),
            maps,
        )
    if subject.family == "proposer":
        return Verbs(
            part,
            lambda count: split_regions(part.propose(first(count), sizes[:count]), count),
            lambda targets: part.loss_and_proposals(maps, targets, sizes)[0],
            maps,
        )

    def detect(count: int) -> list[Detections]:
        first_regions = Regions(regions.boxes[:count], regions.mask[:count])
        return split_images(part.predict(first(count), first_regions, sizes[:count]), count)

    return Verbs(
        part,
        detect,
        lambda targets: part.loss(maps, regions, targets, sizes),
        (maps, regions),
    )


def _of_detector(subject: Subject, training: bool) -> Verbs:
    part = subject.build()
    set_mode(part, training)
    batch = scenes.batch(scenes.usual_targets())

    def first(count: int) -> Batch:
        whole = ("targets", "proposals")
        fields = {n: v[:count] for n, v in vars(batch).items() if n not in whole}
        return Batch(**fields, targets=batch.targets.images(0, count))

    return Verbs(
        part,
        lambda count: part.predict(first(count)),
        lambda targets: part.loss(replace(batch, targets=targets)),
        batch,
    )


def _usual_targets() -> PaddedTargets:
    return scenes.padded(scenes.usual_targets())


def total(losses: Any) -> Tensor:
    """The sum of the parts of a loss.

    Raises:
        BrokenContractError: They are of another form.
    """
    if not isinstance(losses, dict) or not any(str(name).startswith("loss/") for name in losses):
        shown = list(losses) if isinstance(losses, dict) else type(losses).__name__
        raise BrokenContractError(
            f"the losses are {shown}, expected a dict of scalars with names such as 'loss/box'; "
            "only what is named 'loss/...' is learned."
        )
    for name, value in losses.items():
        require_tensor(value, f"'{name}'", (), torch.float32)
    return torch.stack([value for name, value in losses.items() if name.startswith("loss/")]).sum()


def losses_are_finite_and_reach_each_parameter(subject: Subject) -> None:
    """Whatever the images hold: no object, one, crowds alone, a thousand."""
    for scene, targets in scenes.target_scenes().items():
        part, _, loss, _ = verbs(subject, training=True)
        losses = loss(scenes.padded(targets))
        total(losses)
        require_finite(losses, f"with {scene} a loss is not finite: {numbers(losses)}.")
        require_gradients(part, total(losses), f"with {scene}")


def numbers(losses: dict[str, Tensor]) -> str:
    """The parts of a loss as text."""
    return ", ".join(f"{name} {float(value):.3g}" for name, value in losses.items())


def predictions_have_their_form(subject: Subject) -> None:
    """Forward gives DensePredictions, a row for each prior."""
    part, specs = scenes.build_on_levels(subject)
    set_mode(part, training=False)
    found = part(scenes.maps(specs))
    require(
        isinstance(found, DensePredictions),
        f"forward gave {type(found).__name__}, expected DensePredictions.",
    )
    logits, codes, quality = found
    require(logits.ndim == codes.ndim == 3, "expected class_logits (B, P, K), box_codes (B, P, D).")  # noqa: PLR2004
    require(
        logits.shape[:2] == codes.shape[:2] and len(logits) == 2,  # noqa: PLR2004  # images
        f"class_logits are {tuple(logits.shape)} and box_codes {tuple(codes.shape)} for 2 images, "
        "expected (B, P, K) and (B, P, D): one row for each prior.",
    )
    if quality is not None:
        require_tensor(quality, "quality", tuple(logits.shape[:2]), torch.float32)
    require_finite(found, "the predictions are not finite.")


def predictions_match_the_priors(subject: Subject) -> None:
    """One class logit per class and a code of four values, at each cell of each level."""
    part, specs = scenes.build_on_levels(subject)
    maps = scenes.maps(specs)
    cells = sum(level.shape[-2] * level.shape[-1] for level in maps)
    logits, codes, _ = part(maps)
    require_tensor(logits, "class_logits", (2, cells, len(CLASS_NAMES)), torch.float32)
    require_tensor(codes, "box_codes", (2, cells, 4), torch.float32)


def require_detections(
    found: Any, size: tuple[int, int], classes: int = len(CLASS_NAMES)
) -> Detections:
    """Detections of an image of a size, if they are what the structure says.

    Raises:
        BrokenContractError: They are not.
    """
    if not isinstance(found, Detections):
        raise BrokenContractError(f"it gave {type(found).__name__}, expected Detections.")
    count = len(found.scores)
    require_tensor(found.boxes, "boxes", (count, 4), torch.float32)
    require_tensor(found.scores, "scores", (count,), torch.float32)
    require_tensor(found.labels, "labels", (count,), torch.int64)
    require_finite(found, "detections are not finite.")
    if count:
        low, high = float(found.scores.min()), float(found.scores.max())
        require(low >= 0 and high <= 1, f"scores reach from {low:.3g} to {high:.3g}, not 0..1.")
        require(bool((found.scores.diff() <= 0).all()), "scores do not fall: sort, best first.")
        lowest, highest = int(found.labels.min()), int(found.labels.max())
        require(
            lowest >= 0 and highest < classes,
            f"labels reach from {lowest} to {highest}, expected 0 to {classes - 1}.",
        )
        limit = torch.tensor([size[1], size[0]] * 2) + _EDGE
        inside = bool((found.boxes >= -_EDGE).all()) and bool((found.boxes <= limit).all())
        require(inside, f"boxes reach over the edge of an image of {size}: clip them.")
    return found


def detections_are_inside_their_image(subject: Subject) -> None:
    """Best first, with scores in 0..1 and labels of classes, also in a padded batch."""
    _, predict, _, _ = verbs(subject)
    found = predict(2)
    require(
        isinstance(found, list) and len(found) == 2,  # noqa: PLR2004  # images
        f"two images gave {type(found).__name__} of {len(found)}, expected a list of Detections.",
    )
    classes = 1 if subject.family == "proposer" else len(CLASS_NAMES)
    for each, size in zip(found, scenes.SIZES, strict=True):
        require_detections(each, size, classes)


def an_image_is_detected_as_if_alone(subject: Subject) -> None:
    """In evaluation mode the first image has the scores that it has alone.

    Boxes are not compared: of scores that are all but equal, rounding says which comes first.
    """
    _, predict, _, _ = verbs(subject)
    together, alone = predict(2)[0].scores, predict(1)[0].scores
    said = "an image has other detections in a batch of two than alone: do not mix images."
    fewest = min(len(together), len(alone))
    more = max(len(together), len(alone)) - fewest
    require(more <= 1 + fewest // 100, f"{said} There are {len(together)} and {len(alone)}.")
    require_close(together[:fewest], alone[:fewest], said)


def detections_are_reproducible(subject: Subject) -> None:
    """In evaluation mode nothing is random."""
    _, predict, _, _ = verbs(subject)
    require_same(predict(2), predict(2), "the same images gave other detections the second time.")


def losses_leave_their_input(subject: Subject) -> None:
    """Levels, regions and objects are as they were after a loss and after a prediction."""
    _, predict, loss, given = verbs(subject, training=True)
    targets = _usual_targets()
    with unchanged(given, targets):
        loss(targets)
        predict(2)


def predicting_does_not_disturb_training(subject: Subject) -> None:
    """Validation in inference mode leaves nothing behind that a loss cannot go back through."""
    part, predict, loss, _ = verbs(subject, training=True)
    with torch.inference_mode():
        predict(2)
    try:
        require_gradients(part, total(loss(_usual_targets())), "after a prediction")
    except RuntimeError as error:
        raise BrokenContractError(
            f"after a prediction in inference mode training fails ({str(error).splitlines()[0]}): "
            "make what you keep outside of it (`with torch.inference_mode(False)`)."
        ) from error


def losses_are_float32_under_autocast(subject: Subject) -> None:
    """Results under autocast are close to results without it."""
    _, _, loss, _ = verbs(subject, training=True)
    torch.manual_seed(1)
    expected = total(loss(_usual_targets()))
    _, _, loss, _ = verbs(subject, training=True)
    torch.manual_seed(1)
    with torch.autocast("cpu", torch.bfloat16):
        found = total(loss(_usual_targets()))
    require_finite(found, "under bfloat16 autocast the loss is not finite.")
    require_close(
        found,
        expected,
        f"under bfloat16 autocast the loss is {float(found):.4g} and without {float(expected):.4g}:"
        " compute losses in float32 (`value.float()`, outside of autocast).",
        rtol=_ROUNDING,
        atol=0,
    )


def assignments_name_objects(subject: Subject) -> None:
    """If the head can report its assignments, they name objects of the image."""
    part, specs = scenes.build_on_levels(subject)
    if not isinstance(part, AssigningHead):
        return
    targets = scenes.usual_targets()
    priors, matched = part.assign(scenes.maps(specs), scenes.padded(targets))
    require_tensor(matched, "matched", (2, priors.boxes.shape[-2]), torch.int64)
    for row, target in zip(matched, targets, strict=True):
        count = int((~target.ignored).sum())
        require(
            int(row.min()) >= IGNORED and int(row.max()) < count,
            f"`assign` names object {int(row.max())} of {count}: count only non-ignored ones.",
        )


def it_is_a_module(subject: Subject) -> None:
    """A detector is a `torch.nn.Module`, which moves to devices and has a state dict."""
    part = subject.build()
    require(isinstance(part, nn.Module), f"{type(part).__name__} is no torch.nn.Module.")
