"""Compute the divisors of a dense head's losses before the network runs."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from detkit.heads.matches import AssigningParts, assign_objects, find_matches, with_images
from detkit.interfaces import (
    PriorGenerator,
    Sampler,
    Sizes,
)
from detkit.ops import highest_overlaps
from detkit.structures import PaddedTargets, Priors


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
def count_ahead(rules: Rules, sizes: Sizes, targets: PaddedTargets) -> Counted | None:
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
    priors = rules.priors(sizes, targets.boxes.device)
    assignment = assign_objects(rules, None, priors, targets)
    matched = assignment.matched
    values = torch.zeros_like(matched, dtype=torch.float32)
    if rules.sampler.ranks_by == "overlaps":
        values = highest_overlaps(priors.boxes, targets)
    with torch.random.fork_rng([] if matched.device.type == "cpu" else [matched.device]):
        counted = rules.sampler(matched, values)
    positive = counted & (matched >= 0)
    matches = find_matches(positive, assignment, priors, targets)
    shares = matches.weights
    if quality is not None and weighs_boxes:
        shares = shares * quality(matches.priors, matches.boxes, matches.boxes)
    divisors = box_counts(matches.weights, shares, counted, positive, rules.empty_image)
    if learns_background or rules.objects_per_image is not None:
        cells = cells_per_pixel(priors, rules.priors)
        divisors = with_images(divisors, cells, len(matched), rules.objects_per_image)
    return Counted(divisors, counted.sum())


def box_counts(
    weights: Tensor, shares: Tensor, counted: Tensor, positive: Tensor, empty_image: float
) -> Tensor:
    """(3,) counts of the class, box and quality losses.

    Args:
        weights: (M,) weights of the positives.
        shares: (M,) their weights in the box losses.
        counted: (B, P) the priors that the sampler selects.
        positive: (B, P) those with an object.
        empty_image: Added for each image with counted priors but without positives.
    """
    total = weights.sum()
    counts = torch.stack([total, total if shares is weights else shares.sum(), total])
    if empty_image == 0:
        return counts
    return counts + empty_image * (counted.any(dim=1) & ~positive.any(dim=1)).sum()


def cells_per_pixel(priors: Priors, generator: PriorGenerator) -> Tensor:
    """() priors per pixel of an image."""
    return len(priors.level) * sum(generator.per_cell) / priors.stride.square().sum()
