"""What a dense head knows of the priors of a batch once they are assigned to objects."""

from __future__ import annotations

from itertools import accumulate
from typing import NamedTuple

import torch
from torch import Tensor

from detkit.structures import Assignment, Priors, Target


class Matches(NamedTuple):
    """The positives of a batch: M priors with the predictions for them and their objects."""

    priors: Priors  # of M
    codes: Tensor  # (M, D)
    quality: Tensor | None  # (N,) logits where the quality branch learns
    quality_labels: Tensor  # (N,) 0 at the positives, in their order, BACKGROUND elsewhere
    boxes: Tensor  # (M, 4) of the objects
    weights: Tensor  # (M,) what each counts: the assignment's scores
    counted: Tensor  # () how many priors count, positives and others
    empty: Tensor  # () added by images with counted priors but without positives
    cells: Tensor  # () priors per pixel of an image


def rows_of_objects(matched: Tensor, objects: list[Target]) -> Tensor:
    """(B, P) row in the table of the objects of all images; one past its end where none is."""
    starts = torch.tensor([0, *accumulate(map(len, objects))], device=matched.device)
    return torch.where(matched >= 0, matched + starts[:-1, None], starts[-1])


def soft_targets(assignments: list[Assignment], priors: Priors) -> Tensor | None:
    """(B, P) scores of the assignments, None where all targets are 1."""
    if all(assignment.scores is None for assignment in assignments):
        return None
    ones = torch.ones_like(priors.stride)
    scores = [ones if each.scores is None else each.scores for each in assignments]
    return torch.stack(scores)


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
