"""COCO's metrics, computed by faster-coco-eval or pycocotools."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from detkit.errors import DataError
from detkit.evaluation.class_frequencies import LVIS_LIMITS, ClassFrequencies, Limits
from detkit.evaluation.coco_backends import accumulated
from detkit.evaluation.coco_matches import CocoMatches, match_coco
from detkit.evaluation.metric_base import MetricBase
from detkit.evaluation.metrics_table import MASK
from detkit.registry import PositiveInt, Wired, register
from detkit.structures import ClassCounts
from detkit.text import counted

# Positions in the axes of COCOeval's arrays: IoU thresholds, area ranges, detection limits.
_IOU50, _IOU75 = 0, 5
_ALL, _SMALL, _MEDIUM, _LARGE = range(4)
_MOST = -1


@register("metric", "coco")
class CocoMetric(MetricBase):
    """Measure AP and AR as COCO defines them: its 12 numbers, and AP and AP50 of each class.

    If the training set has classes of different frequency, also LVIS's AP_rare, AP_common and
    AP_frequent, the means over such classes.

    Ignored objects (crowd, difficult) are treated as COCO's crowd: detections in them do not count.
    A number is NaN if the data have no object for it.

    With a mask head it measures masks too: `mask_AP` and so on. Small, medium and large then refer
    to the area of the mask, and objects without a mask are ignored.

    Paper: Microsoft COCO: Common Objects in Context (Lin et al., 2014),
        https://arxiv.org/abs/1405.0312

    Args:
        max_detections: How many detections per image and class count, highest scores first. COCO
            uses 100; another value changes the name of the last recall (AR300).
        backend: `faster` is faster-coco-eval, which takes a fraction of the time and memory;
            `pycocotools` is the reference, which tests compare it with.
        frequency_limits: The most training images of a rare class and of a common one, for AP_rare,
            AP_common and AP_frequent; null measures none of these.
    """

    def __init__(
        self,
        *,
        class_names: Wired[list[str]],
        category_ids: Wired[list[int]],
        max_detections: PositiveInt = 100,
        backend: Literal["faster", "pycocotools"] = "faster",
        frequency_limits: Limits | None = LVIS_LIMITS,
        class_counts: Wired[ClassCounts | None] = None,
    ) -> None:
        if not len(class_names) == len(category_ids) == len(set(category_ids)):
            raise DataError(
                f"the metric got {len(class_names)} class names and the category ids "
                f"{category_ids}; expected one id of its own for each class."
            )
        self.category_ids = list(category_ids)
        self.limits = sorted({1, 10, max_detections})
        self.limits = self.limits[: self.limits.index(max_detections) + 1]
        self.backend = backend
        self.frequencies = ClassFrequencies(class_counts, frequency_limits)
        meanings = _meanings(self.limits) | self.frequencies.meanings()
        super().__init__(class_names, meanings, masks=True)

    def compute(self) -> dict[str, float]:
        """The 12 numbers and AP by class frequency, then `AP/<class>` and `AP50/<class>`.

        With masks, the same numbers follow for masks. Each is 0..1 or NaN.
        """
        numbers = self._numbers("bbox")
        if self.images.has_masks():
            of_masks = self._numbers("segm")
            numbers |= {f"{MASK}{name}": value for name, value in of_masks.items()}
            of_boxes = {n: text for n, text in self.meanings.items() if not n.startswith(MASK)}
            self.meanings = of_boxes | {f"{MASK}{name}": text for name, text in of_boxes.items()}
        return numbers

    def matches(self) -> dict[str, CocoMatches]:
        """The matches of boxes, and under `mask_` those of masks, from which AP is computed."""
        images, classes = self.images.by_id(), self.images.class_names
        matches = {"": match_coco(images, classes, self.limits[_MOST])}
        if self.images.has_masks():
            matches[MASK] = match_coco(images, classes, self.limits[_MOST], "segm")
        return matches

    def _numbers(self, kind: Literal["bbox", "segm"]) -> dict[str, float]:
        """The numbers of boxes or masks.

        Computed from COCOeval's arrays like its `summarize`, which only supports a limit of 100
        detections and returns -1 if there is nothing to measure.
        """
        evaluator = accumulated(
            self.images.by_id(), self.category_ids, self.limits, backend=self.backend, kind=kind
        )
        precision, recall = evaluator.precision[..., _MOST], evaluator.recall
        numbers = {
            "AP": _mean(precision[..., _ALL]),
            "AP50": _mean(precision[_IOU50, ..., _ALL]),
            "AP75": _mean(precision[_IOU75, ..., _ALL]),
            "AP_small": _mean(precision[..., _SMALL]),
            "AP_medium": _mean(precision[..., _MEDIUM]),
            "AP_large": _mean(precision[..., _LARGE]),
        }
        for position, limit in enumerate(self.limits):
            numbers[f"AR{limit}"] = _mean(recall[..., _ALL, position])
        numbers["AR_small"] = _mean(recall[..., _SMALL, _MOST])
        numbers["AR_medium"] = _mean(recall[..., _MEDIUM, _MOST])
        numbers["AR_large"] = _mean(recall[..., _LARGE, _MOST])
        # COCOeval sorts categories by id.
        columns = [sorted(self.category_ids).index(number) for number in self.category_ids]
        by_class = [precision[:, :, column, _ALL] for column in columns]  # in label order
        numbers |= self.frequencies.means([_mean(values) for values in by_class])
        for name, values in zip(self.images.class_names, by_class, strict=True):
            numbers[f"AP/{name}"] = _mean(values)
            numbers[f"AP50/{name}"] = _mean(values[_IOU50])
        return numbers


def _meanings(limits: list[int]) -> dict[str, str]:
    sizes = {"small": "area below 32²", "medium": "32² to 96²", "large": "above 96²"}
    recalls = {f"AR{n}": f"recall, {counted(n, 'detection')}" for n in limits}
    return {
        "AP": "IoU 0.50 to 0.95",
        "AP50": "IoU 0.50",
        "AP75": "IoU 0.75",
        **{f"AP_{size}": range_ for size, range_ in sizes.items()},
        **recalls,
        **{f"AR_{size}": f"recall, {size}" for size in sizes},
    }


def _mean(values: NDArray[np.float64]) -> float:
    """The mean of the measured values; COCOeval marks others with -1."""
    valid = values[values > -1]
    return float(valid.mean()) if valid.size else math.nan
