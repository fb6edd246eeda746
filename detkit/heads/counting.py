"""Compute the divisors of a dense head's losses before the network runs."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from detkit.heads.matches import Sampled, ScoringParts, find_matches, with_images
from detkit.interfaces import Assigner, PriorGenerator, Sampler, Sizes
from detkit.ops import highest_overlaps
from detkit.structures import Assignment, DensePredictions, PaddedTargets, Priors


class Rules(ScoringParts, Protocol):
    """Parts and settings of a dense head that determine the divisors of its losses."""

    priors: PriorGenerator
    assigner: Assigner
    sampler: Sampler
    empty_image: float
    objects_per_image: float | None

    def assignment(
        self, predictions: DensePredictions | None, priors: Priors, targets: PaddedTargets
    ) -> Assignment:
        """The objects of each image, assigned to its priors."""
        ...


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
    assignment = rules.assignment(None, priors, targets)
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
    divisors = box_counts(rules, matches.weights, shares, Sampled(priors, counted, positive))
    return Counted(divisors, counted.sum())


def box_counts(rules: Rules, weights: Tensor, shares: Tensor, sampled: Sampled) -> Tensor:
    """(3,) counts of the class, box and quality losses.

    Args:
        rules: The head.
        weights: (M,) weights of the positives.
        shares: (M,) their weights in the box losses.
        sampled: The priors that the sampler selects.
    """
    total = weights.sum()
    counts = torch.stack([total, total if shares is weights else shares.sum(), total])
    if rules.empty_image:
        is_empty = sampled.counted.any(dim=1) & ~sampled.positive.any(dim=1)
        counts = counts + rules.empty_image * is_empty.sum()
    quality = rules.quality_target
    learns_background = quality is not None and quality.learns_background
    if learns_background or rules.objects_per_image is not None:
        cells = cells_per_pixel(sampled.priors, rules.priors)
        counts = with_images(counts, cells, len(sampled.counted), rules.objects_per_image)
    return counts


def cells_per_pixel(priors: Priors, generator: PriorGenerator) -> Tensor:
    """() priors per pixel of an image."""
    priors = priors.of_image(0)
    return len(priors.level) * sum(generator.per_cell) / priors.stride.square().sum()
