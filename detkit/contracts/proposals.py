"""Further contracts of roi heads and proposers: valid regions pass between them."""

from __future__ import annotations

import torch

from detkit.contracts import scenes
from detkit.contracts.case import CLASS_NAMES, Subject
from detkit.contracts.heads import numbers, require_detections, total
from detkit.contracts.network_trials import require_gradients, set_mode
from detkit.contracts.padded import split_images, split_regions
from detkit.contracts.tensor_checks import (
    require,
    require_close,
    require_finite,
    require_tensor,
)
from detkit.structures import RegionPredictions, Regions, Target


def predictions_cover_every_region(subject: Subject) -> None:
    """Forward returns RegionPredictions, padded with scores of 0 for images with fewer regions."""
    part, specs = scenes.build_on_levels(subject)
    set_mode(part, training=False)
    predictions = part(scenes.maps(specs), scenes.regions(), scenes.size_tensor())
    require(
        isinstance(predictions, RegionPredictions),
        f"forward returned {type(predictions).__name__}, expected RegionPredictions.",
    )
    most = scenes.regions().mask.shape[1]
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
    regions = scenes.regions()
    regions.boxes.requires_grad_()
    targets = scenes.padded(scenes.usual_targets())
    losses = part.loss(scenes.maps(specs), regions, targets, scenes.size_tensor())
    total(losses).backward()  # type: ignore[no-untyped-call]
    require(regions.boxes.grad is None, "the boxes of the regions receive a gradient: detach them.")


def batches_without_regions_give_gradients(subject: Subject) -> None:
    """One image without regions, or all of them."""
    part, specs = scenes.build_on_levels(subject)
    maps, sizes = scenes.maps(specs), scenes.size_tensor()
    first, nothing = scenes.regions().split()[0], torch.zeros(0, 4)
    for regions in (Regions.of([first, nothing]), Regions.of([nothing, nothing])):
        for targets in (scenes.usual_targets(), [Target.empty(), Target.empty()]):
            losses = part.loss(maps, regions, scenes.padded(targets), sizes)
            require_finite(losses, f"without regions a loss is not finite: {numbers(losses)}.")
            require_gradients(part, total(losses), "without regions")


def padding_has_no_effect(subject: Subject) -> None:
    """Losses and detections are the same if regions have more padding."""
    part, specs = scenes.build_on_levels(subject.with_all_detections())
    set_mode(part, training=False)
    maps, sizes, regions = scenes.maps(specs), scenes.size_tensor(), scenes.regions()
    padded = Regions(*(torch.cat([field, torch.zeros_like(field)], dim=1) for field in regions))
    detections = [part.predict(maps, each, sizes) for each in (regions, padded)]
    for expected, found in zip(*(split_images(d, 2) for d in detections), strict=True):
        require_close(
            found.scores, expected.scores, "padding of the regions changes scores: use the mask."
        )


def training_proposals_are_valid_regions(subject: Subject) -> None:
    """Training regions for the roi head: inside their image, without gradients."""
    part, specs = scenes.build_on_levels(subject)
    targets = scenes.padded(scenes.usual_targets())
    _, proposals = part.loss_and_proposals(scenes.maps(specs), targets, scenes.size_tensor())
    images = split_regions(proposals, len(scenes.SIZES))
    for regions, size in zip(images, scenes.SIZES, strict=True):
        require_detections(regions, size, classes=1)
