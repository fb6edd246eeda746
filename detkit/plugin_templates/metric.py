"""A metric: detections and objects to numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from detkit import Wired, register
from detkit.ops import pairwise_iou
from detkit.registry import Fraction
from detkit.structures import Detections, Target

_COMMON = 0.5  # the IoU of AP50, at which detkit looks too


class Judged(NamedTuple):
    """What a metric keeps of an image; plain values, as it goes to other ranks."""

    labels: list[int]  # of the objects that count
    found: list[tuple[int, float, bool]]  # label, score and whether right, of each detection


@register("metric", "my_metric")
class MyMetric:
    """Average precision of each class: the mean precision at the ranks where an object is found.

    Args:
        class_names: The classes, in label order.
        iou_threshold: The smallest IoU that finds an object.
    """

    def __init__(self, *, class_names: Wired[list[str]], iou_threshold: Fraction = 0.75) -> None:
        self.class_names = class_names
        self.iou_threshold = iou_threshold
        # What each number without a slash in its name is, for tables.
        self.meanings: Mapping[str, str] = {
            "AP": f"IoU {iou_threshold:.2f}, not interpolated",
            "AP50": f"the same at IoU {_COMMON:.2f}",
        }
        # By image id, so that an image seen twice counts once; at both thresholds.
        self._images: dict[int, dict[float, Judged]] = {}

    def update(
        self, image_ids: list[int], detections: list[Detections], targets: list[Target]
    ) -> None:
        """Take the detections and objects of images, in original coordinates."""
        for image_id, found, target in zip(image_ids, detections, targets, strict=True):
            thresholds = (self.iou_threshold, _COMMON)
            self._images[int(image_id)] = {t: _judge(found, target, t) for t in thresholds}

    def state(self) -> dict[str, Any]:
        """What `merge` of another rank takes."""
        return {"images": dict(self._images)}

    def merge(self, states: list[dict[str, Any]]) -> None:
        """Add the images of other ranks."""
        for state in states:
            for image_id, judged in state["images"].items():
                self._images.setdefault(image_id, judged)

    def reset(self) -> None:
        """Forget all images."""
        self._images = {}

    def compute(self) -> dict[str, float]:
        """`AP` and `AP50`, means over classes, and `AP/<class>`; 0..1, NaN without objects."""
        of_classes = self._of_classes(self.iou_threshold)
        numbers = {"AP": _mean(of_classes), "AP50": _mean(self._of_classes(_COMMON))}
        named = zip(self.class_names, of_classes, strict=True)
        return numbers | {f"AP/{name}": value for name, value in named}

    def _of_classes(self, threshold: float) -> list[float]:
        images = [self._images[image_id][threshold] for image_id in sorted(self._images)]
        return [
            average_precision(
                [row[1:] for image in images for row in image.found if row[0] == label],
                sum(image.labels.count(label) for image in images),
            )
            for label in range(len(self.class_names))
        ]


def average_precision(found: list[tuple[float, bool]], objects: int) -> float:
    """AP from the scores and verdicts of the detections of one class."""
    hits, total = 0, 0.0
    for rank, (_, right) in enumerate(sorted(found, key=lambda row: -row[0]), start=1):
        hits += right
        total += hits / rank if right else 0.0
    return total / objects if objects else math.nan


def _judge(found: Detections, target: Target, threshold: float) -> Judged:
    """Give each object to the best detection that finds it; crowds make none right or wrong."""
    free = [True] * len(target)
    ignored, labels = target.ignored.tolist(), target.labels.tolist()
    overlaps = pairwise_iou(found.boxes.cpu().float(), target.boxes.cpu().float()).tolist()
    rows = []
    scored = zip(found.labels.tolist(), found.scores.tolist(), overlaps, strict=True)
    for label, score, row in sorted(scored, key=lambda detection: -detection[1]):
        fitting = [
            place
            for place, overlap in enumerate(row)
            if overlap >= threshold and labels[place] == label and free[place]
        ]
        best = max(fitting, key=lambda place: (not ignored[place], row[place]), default=None)
        if best is not None and ignored[best]:
            continue  # a crowd holds any number
        if best is not None:
            free[best] = False
        rows.append((label, score, best is not None))
    counted = [label for label, crowd in zip(labels, ignored, strict=True) if not crowd]
    return Judged(counted, rows)


def _mean(values: list[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return sum(known) / len(known) if known else math.nan
