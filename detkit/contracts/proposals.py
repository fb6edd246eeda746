"""What roi heads and proposers promise beside what all heads do: they meet at the regions."""

from __future__ import annotations

import torch

from detkit.contracts import scenes
from detkit.contracts.case import CLASS_NAMES, Subject
from detkit.contracts.heads import numbers, require_detections, total
from detkit.contracts.networks import require_gradients, set_mode
from detkit.contracts.tensor_checks import require, require_finite, require_tensor
from detkit.structures import RegionPredictions, Target


def scores_and_boxes_have_a_place_for_each_region(subject: Subject) -> None:
    """Forward gives RegionPredictions; an image with fewer regions has scores of 0 after them."""
    part, specs = scenes.build_on_levels(subject)
    set_mode(part, training=False)
    found = part(scenes.maps(specs), scenes.regions(), list(scenes.SIZES))
    require(
        isinstance(found, RegionPredictions),
        f"forward gave {type(found).__name__}, expected RegionPredictions.",
    )
    most = max(map(len, scenes.regions()))
    require_tensor(found.scores, "scores", (2, most, len(CLASS_NAMES)), torch.float32)
    each = found.boxes.shape[2] if found.boxes.ndim == 4 else 0  # noqa: PLR2004
    require(
        each in (1, len(CLASS_NAMES)),
        f"boxes are {tuple(found.boxes.shape)}, expected (B, R, C, 4) or (B, R, 1, 4).",
    )
    require_tensor(found.boxes, "boxes", (2, most, each, 4), torch.float32)
    require_finite(found, "the predictions are not finite.")
    require(
        not found.scores[1, 1:].any(),
        "scores after an image's own regions are not 0: the places are there to fill the batch.",
    )


def regions_are_learned_without_their_gradient(subject: Subject) -> None:
    """No gradient goes back through the boxes of the regions."""
    part, specs = scenes.build_on_levels(subject)
    given = [boxes.requires_grad_() for boxes in scenes.regions()]
    maps, sizes = scenes.maps(specs), list(scenes.SIZES)
    total(part.loss(maps, given, scenes.usual_targets(), sizes)).backward()  # type: ignore[no-untyped-call]
    require(
        all(boxes.grad is None for boxes in given),
        "a gradient went back through the boxes of the regions: detach them.",
    )


def batches_without_regions_are_learned(subject: Subject) -> None:
    """One image without a region, or all."""
    part, specs = scenes.build_on_levels(subject)
    maps, sizes = scenes.maps(specs), list(scenes.SIZES)
    nothing = torch.zeros(0, 4)
    for given in ([scenes.regions()[0], nothing], [nothing, nothing]):
        for targets in (scenes.usual_targets(), [Target.empty(), Target.empty()]):
            losses = part.loss(maps, given, targets, sizes)
            require_finite(losses, f"without regions a loss is not finite: {numbers(losses)}.")
            require_gradients(part, total(losses), "without regions")


def proposals_come_with_the_losses(subject: Subject) -> None:
    """Regions for the roi head to learn from: Detections with label 0, without gradients."""
    part, specs = scenes.build_on_levels(subject)
    sizes = list(scenes.SIZES)
    _, found = part.loss_and_proposals(scenes.maps(specs), scenes.usual_targets(), sizes)
    require(len(found) == len(sizes), f"{len(sizes)} images gave regions of {len(found)}.")
    for each, size in zip(found, sizes, strict=True):
        require_detections(each, size, classes=1)
        require(not each.boxes.requires_grad, "regions carry gradients: use torch.no_grad().")
