"""Compute the divisors of a dense head's losses before the network runs."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from detkit.heads.matches import rows_of_objects, soft_targets, with_images
from detkit.interfaces import (
    Assigner,
    ClassificationLoss,
    PriorGenerator,
    QualityTarget,
    Sampler,
    Sizes,
)
from detkit.ops import highest_overlaps, mark_ignored
from detkit.structures import Priors, Target


class Rules(Protocol):
    """Parts and settings of a dense head that determine the divisors of its losses."""

    classification_loss: ClassificationLoss

    priors: PriorGenerator
    assigner: Assigner
    sampler: Sampler
    quality_target: QualityTarget | None
    weigh_boxes_by_quality: bool
    empty_image: float
    per_image: float | None


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
    return rules.per_image is not None or not (
        rules.weigh_boxes_by_quality or _learns_background(rules)
    )


def _learns_background(rules: Rules) -> bool:
    return rules.quality_target is not None and rules.quality_target.learns_background


@torch.no_grad()
def count_ahead(rules: Rules, sizes: Sizes, targets: list[Target]) -> Counted | None:
    """Count the positives of a batch from its objects; None if they depend on predictions.

    Args:
        rules: The head.
        sizes: Sizes of the feature maps.
        targets: Objects of the images, on the device of the training.
    """
    objectness = _learns_background(rules)
    if rules.assigner.uses_predictions or (objectness and rules.weigh_boxes_by_quality):
        return None
    priors = rules.priors(sizes, targets[0].boxes.device)
    objects = [target.select(~target.ignored) for target in targets]
    assignments = [rules.assigner(priors, None, None, countable) for countable in objects]
    marked = zip(assignments, targets, strict=True)
    matched = torch.stack(
        [mark_ignored(assignment.matched, priors, target) for assignment, target in marked]
    )
    values = torch.zeros_like(matched, dtype=torch.float32)
    if rules.sampler.ranks_by == "overlaps":
        values = torch.stack([highest_overlaps(priors.boxes, image.boxes) for image in objects])
    with torch.random.fork_rng([] if matched.device.type == "cpu" else [matched.device]):
        counted = rules.sampler(matched, values)
    positive = counted & (matched >= 0)
    image, prior = positive.nonzero(as_tuple=True)
    scores = soft_targets(assignments, priors)
    weights = torch.ones_like(values)[positive] if scores is None else scores[positive]
    shares = weights
    if rules.weigh_boxes_by_quality and rules.quality_target is not None:
        boxes = torch.cat([image.boxes for image in objects])
        boxes = boxes[rows_of_objects(matched, objects)[image, prior]]
        sampled = Priors(*(field[prior] for field in priors))
        shares = weights * rules.quality_target(sampled, boxes, boxes)
    empty = rules.empty_image * (counted.any(dim=1) & ~positive.any(dim=1)).sum()
    divisors = torch.stack([weights.sum(), shares.sum(), weights.sum()]) + empty
    if objectness or rules.per_image is not None:
        cells = len(priors.level) * sum(rules.priors.per_cell) / priors.stride.square().sum()
        divisors = with_images(divisors, cells, len(targets), rules.per_image)
    return Counted(divisors, counted.sum())
