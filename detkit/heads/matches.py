"""Assign the objects of a batch to priors, and describe the matches."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import accumulate
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from detkit.interfaces import Assigner, BoxCoder, ClassificationLoss, QualityTarget
from detkit.ops import class_scores, mark_ignored
from detkit.structures import Assignment, DensePredictions, Priors, Target


class Matches(NamedTuple):
    """The positives of a batch: M priors with the predictions for them and their objects."""

    priors: Priors  # of M
    codes: Tensor  # (M, D)
    quality: Tensor | None  # (N,) logits where the quality branch learns
    quality_labels: Tensor  # (N,) 0 at the positives, in their order, BACKGROUND elsewhere
    boxes: Tensor  # (M, 4) of the objects
    weights: Tensor  # (M,) the assignment's scores
    counted: Tensor  # () number of sampled priors, positives and background
    empty: Tensor  # () added by images with counted priors but without positives
    cells: Tensor  # () priors per pixel of an image


def rows_of_objects(matched: Tensor, objects: list[Target]) -> Tensor:
    """(B, P) row in the table of the objects of all images; one past its end where none is."""
    starts = torch.tensor([0, *accumulate(map(len, objects))], device=matched.device)
    return torch.where(matched >= 0, matched + starts[:-1, None], starts[-1])


class AssigningParts(Protocol):
    """Parts of a dense head that take part in an assignment."""

    assigner: Assigner
    box_coder: BoxCoder
    classification_loss: ClassificationLoss
    quality_target: QualityTarget | None


@torch.no_grad()
def assign_objects(
    parts: AssigningParts,
    predictions: DensePredictions | None,
    priors: Priors,
    targets: list[Target],
    objects: list[Target],
) -> Assignment:
    """Assign the objects of each image to its priors.

    Args:
        parts: The head.
        predictions: Its predictions at the priors, for assigners that use them.
        priors: P priors.
        targets: All objects of each image; priors on ignored ones become IGNORED.
        objects: The objects of each image that are not ignored.

    Returns:
        `matched` (B, P) and `scores` (B, P) or None.
    """
    scores: Iterable[Tensor | None] = [None] * len(targets)
    boxes: Iterable[Tensor | None] = [None] * len(targets)
    if parts.assigner.uses_predictions and predictions is not None:
        scores = _predicted_scores(parts, predictions)
        boxes = parts.box_coder.decode(predictions.box_codes, priors)
    assignments, matched = [], []
    images = zip(scores, boxes, objects, targets, strict=True)
    for image_scores, image_boxes, countable, target in images:
        assignments.append(parts.assigner(priors, image_scores, image_boxes, countable))
        matched.append(mark_ignored(assignments[-1].matched, priors, target))
    return Assignment(torch.stack(matched), _soft_targets(assignments, priors))


def _predicted_scores(parts: AssigningParts, predictions: DensePredictions) -> Tensor:
    """(B, P, C) class scores, times the objectness if there is one."""
    scores = class_scores(predictions.class_logits, parts.classification_loss.activation)
    quality = parts.quality_target
    if quality is not None and quality.learns_background and predictions.quality is not None:
        scores = scores * predictions.quality.sigmoid()[..., None]  # YOLOX: its root
    return scores


def _soft_targets(assignments: list[Assignment], priors: Priors) -> Tensor | None:
    """(B, P) soft targets of the assignments, None if all targets are 1."""
    if all(assignment.scores is None for assignment in assignments):
        return None
    ones = torch.ones_like(priors.stride)
    return torch.stack([ones if a.scores is None else a.scores for a in assignments])


def yes_or_no_losses(
    loss: ClassificationLoss, logits: Tensor, labels: Tensor, scores: Tensor | None
) -> Tensor:
    """(N,) losses of binary logits (N,), such as objectness."""
    rows = logits[:, None]  # (N, 1)
    if loss.activation == "softmax":  # needs a logit of background; with 0 it equals a sigmoid
        rows = torch.cat([rows, torch.zeros_like(rows)], dim=1)
    return loss(rows, labels, scores)


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
