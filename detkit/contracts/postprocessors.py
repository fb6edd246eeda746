"""Contracts of post-processors: they turn the candidates of a batch into detections."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from detkit.contracts import scenes
from detkit.contracts.case import Subject
from detkit.contracts.heads import require_detections
from detkit.contracts.padded import split_images
from detkit.contracts.tensor_checks import (
    require,
    require_close,
    require_finite,
    require_same,
    unchanged,
)
from detkit.structures import Detections

_IMAGE = (80, 80)
_Candidates = tuple[Tensor, Tensor, Tensor]


def _detect(part: Any, candidates: _Candidates) -> Detections:
    """The detections of one image."""
    return split_images(part(*(column[None] for column in candidates)), 1)[0]


def _candidates(count: int) -> _Candidates:
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
            detections = require_detections(_detect(part, candidates), _IMAGE)
        require(
            len(detections.scores) <= count,
            f"{count} candidates gave {len(detections.scores)} detections.",
        )
        require(count == 0 or len(detections.scores) > 0, f"{count} candidates gave no detection.")


def a_single_candidate_is_unchanged(subject: Subject) -> None:
    """There is nothing to merge or suppress."""
    candidates = _candidates(1)
    detections = _detect(subject.build(), candidates)
    require_close(detections, candidates, "a single candidate was changed.", rtol=1e-5, atol=1e-5)


def degenerate_candidates_give_valid_detections(subject: Subject) -> None:
    """Many equal candidates, and boxes without area."""
    part = subject.build()
    box = torch.tensor([[3.0, 4, 13, 24]])
    labels = torch.zeros(50, dtype=torch.int64)
    equal = box.repeat(50, 1), torch.full((50,), 0.5), labels
    detections = require_detections(_detect(part, equal), _IMAGE)
    require_finite(detections, "equal candidates gave values that are not finite.")
    boxes = torch.tensor([[3.0, 4, 3, 4], [3, 4, 3, 9], [3, 4, 3, 4]])
    empty = boxes, torch.tensor([0.9, 0.8, 0.7]), torch.zeros(3, dtype=torch.int64)
    require_detections(_detect(part, empty), _IMAGE)


def an_image_is_detected_as_if_alone(subject: Subject) -> None:
    """In a batch with images of more and of fewer candidates."""
    part = subject.build()
    counts = (7, 60, 0, 1)
    images = [_candidates(count) for count in counts]
    columns = (pad_sequence(list(column), batch_first=True) for column in zip(*images, strict=True))
    together = split_images(part(*columns), len(counts))
    for candidates, detections in zip(images, together, strict=True):
        require_close(
            detections,
            _detect(part, candidates),
            "an image has other detections in a batch than alone: candidates with a score of 0 "
            "do not exist, and those of different images do not interact.",
        )


def the_order_of_candidates_does_not_matter(subject: Subject) -> None:
    """As long as no two scores are equal."""
    part = subject.build()
    candidates = _candidates(60)
    order = torch.randperm(60, generator=torch.Generator().manual_seed(1))
    boxes, scores, labels = (column[order] for column in candidates)
    require_close(
        _detect(part, (boxes, scores, labels)),
        _detect(part, candidates),
        "the same candidates in another order gave other detections.",
    )
    require_same(
        _detect(part, candidates),
        _detect(part, candidates),
        "the same candidates gave other detections the second time.",
    )
