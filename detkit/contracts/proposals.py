"""Further contracts of roi heads and proposers: valid regions pass between them."""

from __future__ import annotations

import torch

from detkit.contracts import scenes
from detkit.contracts.case import CLASS_NAMES, Subject
from detkit.contracts.heads import numbers, require_detections, total
from detkit.contracts.network_trials import require_gradients, set_mode
from detkit.contracts.tensor_checks import require, require_finite, require_tensor
from detkit.structures import PaddedTargets, RegionPredictions, Target


def predictions_cover_every_region(subject: Subject) -> None:
    """Forward returns RegionPredictions, padded with scores of 0 for images with fewer regions."""
    part, specs = scenes.build_on_levels(subject)
    set_mode(part, training=False)
    predictions = part(scenes.maps(specs), scenes.regions(), list(scenes.SIZES))
    require(
        isinstance(predictions, RegionPredictions),
        f"forward returned {type(predictions).__name__}, expected RegionPredictions.",
    )
    most = max(map(len, scenes.regions()))
    require_tensor(predictions.scores, "scores", (2, most, len(CLASS_NAMES)), torch.float32)
    boxes_per_region = predictions.boxes.shape[2] if predictions.boxes.ndim == 4 else 0  # noqa: PLR2004
    require(
        boxes_per_region in (1, len(CLASS_NAMES)),
        f"boxes are {tuple(predictions.boxes.shape)}, expected (B, R, C, 4) or (B, R, 1, 4).",
    )
    require_tensor(predictions.boxes, "boxes", (2, most, boxes_per_region, 4), torch.float32)
    require_finite(predictions, "the predictions are not finite.")
    require(
        not predictions.scores[1, 1:].any(),
        "padding after the regions of an image has scores other than 0: set them to 0.",
    )


def no_gradient_flows_into_region_boxes(subject: Subject) -> None:
    """The boxes of the regions receive no gradient."""
    part, specs = scenes.build_on_levels(subject)
    regions = [boxes.requires_grad_() for boxes in scenes.regions()]
    maps, sizes = scenes.maps(specs), list(scenes.SIZES)
    total(part.loss(maps, regions, scenes.usual_targets(), sizes)).backward()  # type: ignore[no-untyped-call]
    require(
        all(boxes.grad is None for boxes in regions),
        "the boxes of the regions receive a gradient: detach them.",
    )


def batches_without_regions_give_gradients(subject: Subject) -> None:
    """One image without regions, or all of them."""
    part, specs = scenes.build_on_levels(subject)
    maps, sizes = scenes.maps(specs), list(scenes.SIZES)
    nothing = torch.zeros(0, 4)
    for regions in ([scenes.regions()[0], nothing], [nothing, nothing]):
        for targets in (scenes.usual_targets(), [Target.empty(), Target.empty()]):
            losses = part.loss(maps, regions, targets, sizes)
            require_finite(losses, f"without regions a loss is not finite: {numbers(losses)}.")
            require_gradients(part, total(losses), "without regions")


def proposals_are_valid_detections(subject: Subject) -> None:
    """Training regions for the roi head: Detections with label 0, without gradients."""
    part, specs = scenes.build_on_levels(subject)
    sizes = list(scenes.SIZES)
    targets = PaddedTargets.of(scenes.usual_targets())
    _, proposals = part.loss_and_proposals(scenes.maps(specs), targets, sizes)
    require(
        len(proposals) == len(sizes), f"{len(sizes)} images gave proposals for {len(proposals)}."
    )
    for regions, size in zip(proposals, sizes, strict=True):
        require_detections(regions, size, classes=1)
        require(not regions.boxes.requires_grad, "regions carry gradients: use torch.no_grad().")
