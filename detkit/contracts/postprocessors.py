"""Contracts of post-processors: they turn the candidates of one image into detections."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from detkit.contracts import scenes
from detkit.contracts.case import Subject
from detkit.contracts.heads import require_detections
from detkit.contracts.tensor_checks import (
    require,
    require_close,
    require_finite,
    require_same,
    unchanged,
)
from detkit.structures import Detections

_IMAGE = (80, 80)


def _candidates(count: int) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    scores = 0.1 + 0.9 * torch.rand(count, generator=generator)
    return scenes.boxes_in(_IMAGE, count), scores, torch.arange(count) % 3


def limits_are_readable(subject: Subject) -> None:
    """Heads read both: they keep the `max_candidates` best scores above `score_threshold`."""
    part = subject.build()
    threshold = getattr(part, "score_threshold", None)
    most = getattr(part, "max_candidates", None)
    fits = isinstance(threshold, float | int) and 0 <= threshold < 1
    require(fits, f"`score_threshold` is {threshold!r}, expected 0 or more and below 1.")
    require(
        isinstance(most, int) and most > 0,
        f"`max_candidates` is {most!r}, expected an int above 0.",
    )


def detections_are_sorted_by_score(subject: Subject) -> None:
    """For no candidate, one, some and a thousand; never more detections than candidates."""
    part = subject.build()
    for count in (0, 1, 40, scenes.MANY):
        candidates = _candidates(count)
        with unchanged(candidates):
            detections = require_detections(part(*candidates), _IMAGE)
        require(
            len(detections.scores) <= count,
            f"{count} candidates gave {len(detections.scores)} detections.",
        )
        require(count == 0 or len(detections.scores) > 0, f"{count} candidates gave no detection.")


def a_single_candidate_is_unchanged(subject: Subject) -> None:
    """There is nothing to merge or suppress."""
    candidates = _candidates(1)
    detections = subject.build()(*candidates)
    require_close(detections, candidates, "a single candidate was changed.", rtol=1e-5, atol=1e-5)


def degenerate_candidates_give_valid_detections(subject: Subject) -> None:
    """Many equal candidates, and boxes without area."""
    part = subject.build()
    box = torch.tensor([[3.0, 4, 13, 24]])
    labels = torch.zeros(50, dtype=torch.int64)
    detections = require_detections(part(box.repeat(50, 1), torch.full((50,), 0.5), labels), _IMAGE)
    require_finite(detections, "equal candidates gave values that are not finite.")
    boxes = torch.tensor([[3.0, 4, 3, 4], [3, 4, 3, 9], [3, 4, 3, 4]])
    detections = part(boxes, torch.tensor([0.9, 0.8, 0.7]), torch.zeros(3, dtype=torch.int64))
    require_detections(detections, _IMAGE)


def the_order_of_candidates_does_not_matter(subject: Subject) -> None:
    """As long as no two scores are equal."""
    part: Any = subject.build()
    candidates = _candidates(60)
    order = torch.randperm(60, generator=torch.Generator().manual_seed(1))
    detections: Detections = part(*(column[order] for column in candidates))
    require_close(
        detections, part(*candidates), "the same candidates in another order gave other detections."
    )
    require_same(
        part(*candidates),
        part(*candidates),
        "the same candidates gave other detections the second time.",
    )
