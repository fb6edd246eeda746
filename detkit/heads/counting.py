"""Compute the divisors of a dense head's losses before the network runs."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from detkit.heads.matches import AssigningParts, assign_objects, rows_of_objects, with_images
from detkit.interfaces import (
    PriorGenerator,
    Sampler,
    Sizes,
)
from detkit.ops import highest_overlaps
from detkit.structures import Target


class Rules(AssigningParts, Protocol):
    """Parts and settings of a dense head that determine the divisors of its losses."""

    priors: PriorGenerator
    sampler: Sampler
    empty_image: float
    objects_per_image: float | None


class Counted(NamedTuple):
    """A batch's share of the divisors of the losses.

    Attributes:
        divisors: (3,) divisors of the class, box and quality losses.
        priors: () number of priors that the sampler counts.
    """

    divisors: Tensor
    priors: Tensor


def has_one_divisor(rules: Rules) -> bool:
    """Whether class, box and quality losses are divided by the same count."""
    if rules.classification_loss.normalised:
        return False
    quality = rules.quality_target
    if rules.objects_per_image is not None or quality is None:
        return True
    return not (quality.weighs_boxes or quality.learns_background)


@torch.no_grad()
def count_ahead(rules: Rules, sizes: Sizes, targets: list[Target]) -> Counted | None:
    """Count the positives of a batch from its objects; None if they depend on predictions.

    Args:
        rules: The head.
        sizes: Sizes of the feature maps.
        targets: Objects of the images, on the device of the training.
    """
    quality = rules.quality_target
    weighs_boxes = quality is not None and quality.weighs_boxes
    learns_background = quality is not None and quality.learns_background
    if rules.assigner.uses_predictions or (learns_background and weighs_boxes):
        return None
    priors = rules.priors(sizes, targets[0].boxes.device)
    objects = [target.select(~target.ignored) for target in targets]
    matched, scores = assign_objects(rules, None, priors, targets, objects)
    values = torch.zeros_like(matched, dtype=torch.float32)
    if rules.sampler.ranks_by == "overlaps":
        values = torch.stack([highest_overlaps(priors.boxes, image.boxes) for image in objects])
    with torch.random.fork_rng([] if matched.device.type == "cpu" else [matched.device]):
        counted = rules.sampler(matched, values)
    positive = counted & (matched >= 0)
    image, prior = positive.nonzero(as_tuple=True)
    weights = torch.ones_like(values)[positive] if scores is None else scores[positive]
    shares = weights
    if quality is not None and weighs_boxes:
        boxes = torch.cat([image.boxes for image in objects])
        boxes = boxes[rows_of_objects(matched, objects)[image, prior]]
        sampled = priors.at(prior)
        shares = weights * quality(sampled, boxes, boxes)
    empty = rules.empty_image * (counted.any(dim=1) & ~positive.any(dim=1)).sum()
    divisors = torch.stack([weights.sum(), shares.sum(), weights.sum()]) + empty
    if learns_background or rules.objects_per_image is not None:
        cells = len(priors.level) * sum(rules.priors.per_cell) / priors.stride.square().sum()
        divisors = with_images(divisors, cells, len(targets), rules.objects_per_image)
    return Counted(divisors, counted.sum())
