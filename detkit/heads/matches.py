"""The matches of priors and objects, and what a dense head derives from them."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from detkit.interfaces import ClassificationLoss, QualityTarget, Sampler
from detkit.ops import Rows, binary_scores, class_scores, highest_overlaps, rows_in
from detkit.structures import (
    BACKGROUND,
    IGNORED,
    Assignment,
    DensePredictions,
    PaddedTargets,
    Priors,
)


class Matches(NamedTuple):
    """The priors of a batch that learn boxes: M rows with their objects.

    Attributes:
        rows: Which of the B * P priors they are; some may not count, see `Rows.mask`.
        priors: The M priors.
        boxes: (M, 4) boxes of the objects; the prior's own in a row that does not count.
        weights: (M,) the assignment's scores; 0 in a row that does not count.
    """

    rows: Rows
    priors: Priors
    boxes: Tensor
    weights: Tensor


class Sampled(NamedTuple):
    """The priors of a batch that count in the losses.

    Attributes:
        priors: The P priors of an image, or (B, P) if each image has its own.
        counted: (B, P) bool, the priors that learn classes.
        positive: (B, P) bool, those of them with an object.
    """

    priors: Priors
    counted: Tensor
    positive: Tensor


def find_matches(
    positive: Tensor, assignment: Assignment, priors: Priors, targets: PaddedTargets
) -> Matches:
    """The rows of the positive priors (B, P)."""
    rows = rows_in(positive)
    images, most = targets.mask.shape
    first = torch.arange(0, images * most, most, device=positive.device)
    number = assignment.matched.clamp(min=0) + first[:, None]  # among all objects of the batch
    boxes = targets.boxes.flatten(0, 1)[rows.of(number)]
    priors = priors.repeated(images) if rows.positions is None else priors.of_rows(rows.positions)
    if rows.mask is not None:
        boxes = torch.where(rows.mask[:, None], boxes, priors.boxes)
    soft = assignment.scores
    weights = rows.of(positive.float() if soft is None else soft)
    return Matches(rows, priors, boxes, rows.clear(weights))


class ScoringParts(Protocol):
    """Parts of a dense head that rate its predictions."""

    classification_loss: ClassificationLoss
    quality_target: QualityTarget | None
    quality_loss: ClassificationLoss | None


class RankingParts(ScoringParts, Protocol):
    """Parts of a dense head that rank its priors for the sampler."""

    sampler: Sampler


def predicted_scores(parts: ScoringParts, predictions: DensePredictions) -> Tensor:
    """(B, P, C) class scores, times the objectness if there is one."""
    scores = class_scores(predictions.class_logits, parts.classification_loss.activation)
    quality = parts.quality_target
    if quality is not None and quality.learns_background and predictions.quality is not None:
        scores = scores * quality_scores(predictions.quality, parts.quality_loss)  # YOLOX: its root
    return scores


@torch.no_grad()
def ranking_values(
    parts: RankingParts,
    predictions: DensePredictions,
    priors: Priors,
    *,
    assignment: Assignment,
    labels: Tensor,
    targets: PaddedTargets,
) -> Tensor:
    """(B, P) values the sampler ranks by.

    For `losses`, the quality loss if the quality branch learns background, else the class loss.
    """
    if parts.sampler.ranks_by == "overlaps":
        return highest_overlaps(priors.boxes, targets)
    quality = parts.quality_target
    learns_background = quality is not None and quality.learns_background
    if learns_background and parts.quality_loss and predictions.quality is not None:
        objectness_labels = assignment.matched.clamp(max=0)
        return yes_or_no_losses(parts.quality_loss, predictions.quality, objectness_labels)
    logits, soft = predictions.class_logits.flatten(0, 1), assignment.scores
    scores = None if soft is None else soft.flatten()
    return parts.classification_loss(logits, labels.flatten(), scores).view_as(labels)


def quality_scores(logits: Tensor, loss: ClassificationLoss | None) -> Tensor:
    """(B, P, 1) scores in 0..1 of the quality branch, from its outputs (B, P)."""
    return binary_scores(logits, "sigmoid" if loss is None else loss.activation)[..., None]


def quality_labels(sampled: Sampled, learns_background: bool) -> Tensor:
    """(B, P) labels of the quality branch: 0 at the positives, IGNORED where it does not learn."""
    labels = torch.where(sampled.positive, 0, IGNORED)
    if not learns_background:
        return labels
    return torch.where(sampled.counted & ~sampled.positive, BACKGROUND, labels)


def yes_or_no_losses(
    loss: ClassificationLoss, logits: Tensor, labels: Tensor, scores: Tensor | None = None
) -> Tensor:
    """(B, P) losses of binary logits (B, P), such as objectness."""
    rows = logits.flatten()[:, None]  # (N, 1)
    if loss.activation == "softmax":  # needs a logit of background; with 0 it equals a sigmoid
        rows = torch.cat([rows, torch.zeros_like(rows)], dim=1)
    if loss.activation == "conditional_softmax":  # background has a sigmoid of its own
        rows = torch.cat([torch.zeros_like(rows), -rows], dim=1)
    losses = loss(rows, labels.flatten(), None if scores is None else scores.flatten())
    return losses.view_as(labels)


def with_images(counts: Tensor, cells: Tensor, images: int, per_image: float | None) -> Tensor:
    """(3,) counts of positives, replaced by images or their cells where configured.

    YOLOv5 takes the mean of the objectness over the priors of a level, times 4, 1 and 0.4, which
    are 5.4 together, and times the image's area over that of 640 x 640. Its factor of box losses is
    0.05 and here it is 8, so 160 times as much.

    Args:
        counts: Divisors of the class, box and quality losses.
        cells: Priors per pixel of an image.
        images: B.
        per_image: The count of an image in all three; None changes only the last one.
    """
    if per_image is not None:
        return torch.full_like(counts, per_image * images)
    cells = images * cells * 640**2 / (5.4 * 160)
    return torch.stack([counts[0], counts[1], cells.to(counts)])
