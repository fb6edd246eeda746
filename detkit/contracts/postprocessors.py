"""What post-processors promise: candidates of one image to its detections."""

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


def limits_can_be_read(subject: Subject) -> None:
    """Heads keep the `max_candidates` best with a score above `score_threshold`."""
    part = subject.build()
    threshold = getattr(part, "score_threshold", None)
    most = getattr(part, "max_candidates", None)
    fits = isinstance(threshold, float | int) and 0 <= threshold < 1
    require(fits, f"`score_threshold` is {threshold!r}, expected 0 or more and below 1.")
    require(
        isinstance(most, int) and most > 0,
        f"`max_candidates` is {most!r}, expected an int above 0.",
    )


def detections_come_best_first(subject: Subject) -> None:
    """For no candidate, one, some and a thousand; never more than there were."""
    part = subject.build()
    for count in (0, 1, 40, scenes.MANY):
        given = _candidates(count)
        with unchanged(given):
            found = require_detections(part(*given), _IMAGE)
        require(
            len(found.scores) <= count, f"{count} candidates gave {len(found.scores)} detections."
        )
        require(count == 0 or len(found.scores) > 0, f"{count} candidates gave no detection.")


def a_single_candidate_stays_as_it_is(subject: Subject) -> None:
    """Nothing else says anything about it."""
    given = _candidates(1)
    found = subject.build()(*given)
    require_close(found, given, "a candidate without others was changed.", rtol=1e-5, atol=1e-5)


def difficult_candidates_do_no_harm(subject: Subject) -> None:
    """Many equal ones, and boxes without area."""
    part = subject.build()
    box = torch.tensor([[3.0, 4, 13, 24]])
    labels = torch.zeros(50, dtype=torch.int64)
    found = require_detections(part(box.repeat(50, 1), torch.full((50,), 0.5), labels), _IMAGE)
    require_finite(found, "equal candidates gave numbers that are not finite.")
    boxes = torch.tensor([[3.0, 4, 3, 4], [3, 4, 3, 9], [3, 4, 3, 4]])
    found = part(boxes, torch.tensor([0.9, 0.8, 0.7]), torch.zeros(3, dtype=torch.int64))
    require_detections(found, _IMAGE)


def the_order_of_candidates_does_not_matter(subject: Subject) -> None:
    """Where no two scores are equal."""
    part: Any = subject.build()
    given = _candidates(60)
    order = torch.randperm(60, generator=torch.Generator().manual_seed(1))
    found: Detections = part(*(column[order] for column in given))
    require_close(found, part(*given), "candidates in another order gave other detections.")
    require_same(part(*given), part(*given), "the same candidates gave other detections.")
