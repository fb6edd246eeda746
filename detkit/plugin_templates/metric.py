"""A metric: detections and objects to numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from detkit import Wired, register
from detkit.ops import pairwise_iou
from detkit.registry import Fraction
from detkit.structures import Detections, Target


@register("metric", "my_metric")
class MyMetric:
    """The share of the objects that some detection of their class finds.

    Args:
        class_names: The classes, in label order.
        iou_threshold: The smallest IoU that finds an object.
        score_threshold: Detections below it do not count.
    """

    def __init__(
        self,
        *,
        class_names: Wired[list[str]],
        iou_threshold: Fraction = 0.5,
        score_threshold: Fraction = 0.3,
    ) -> None:
        self.class_names = class_names
        self.iou_threshold = iou_threshold
        self.score_threshold = score_threshold
        # What each number without a slash in its name is, for tables.
        self.meanings: Mapping[str, str] = {"recall": f"objects found at IoU {iou_threshold:.2f}"}
        # By image id, so that an image seen twice counts once: (label, found) of each object.
        self._images: dict[int, list[tuple[int, bool]]] = {}

    def update(
        self, image_ids: list[int], detections: list[Detections], targets: list[Target]
    ) -> None:
        """Take the detections and objects of images, in original coordinates."""
        for image_id, found, target in zip(image_ids, detections, targets, strict=True):
            objects = target.select(~target.ignored)
            kept = found.scores >= self.score_threshold
            overlaps = pairwise_iou(objects.boxes, found.boxes[kept].to(objects.boxes))  # (N, M)
            same_class = objects.labels[:, None] == found.labels[kept].to(objects.labels)[None]
            hits = ((overlaps >= self.iou_threshold) & same_class).any(dim=1)
            self._images[int(image_id)] = list(
                zip(objects.labels.tolist(), hits.tolist(), strict=True)
            )

    def state(self) -> dict[str, Any]:
        """What `merge` of another rank takes; plain values."""
        return {"images": dict(self._images)}

    def merge(self, states: list[dict[str, Any]]) -> None:
        """Add the images of other ranks."""
        for state in states:
            for image_id, objects in state["images"].items():
                self._images.setdefault(image_id, objects)

    def reset(self) -> None:
        """Forget all images."""
        self._images = {}

    def compute(self) -> dict[str, float]:
        """`recall`, the mean over classes, and `recall/<class>`; NaN where there is no object."""
        objects = [pair for pairs in self._images.values() for pair in pairs]
        of_classes = [
            _mean([float(found) for label, found in objects if label == wanted])
            for wanted in range(len(self.class_names))
        ]
        known = [value for value in of_classes if not math.isnan(value)]
        named = zip(self.class_names, of_classes, strict=True)
        return {"recall": _mean(known), **{f"recall/{name}": value for name, value in named}}


def _mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else math.nan
