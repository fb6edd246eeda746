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
