"""COCO's numbers, computed by pycocotools itself."""

from __future__ import annotations

import contextlib
import io
import logging
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pycocotools.cocoeval import COCOeval
from torch import Tensor

from detkit.errors import DataError
from detkit.evaluation.coco_index import ImageArrays, detections_index, image_arrays, objects_index
from detkit.registry import PositiveInt, Wired, register
from detkit.structures import Detections, Target

_log = logging.getLogger("detkit.evaluation")
# Positions in the axes of COCOeval's arrays: IoU thresholds, area ranges, detection limits.
_IOU50, _IOU75 = 0, 5
_ALL, _SMALL, _MEDIUM, _LARGE = range(4)
_MOST = -1


@dataclass(frozen=True)
class Counts:
    """What a metric has seen.

    Attributes:
        images: Images, each counted once.
        objects: Objects that count, per class.
        ignored: Crowd and difficult objects.
        detections: Detections of any score.
    """

    images: int
    objects: list[int]
    ignored: int
    detections: int

    def __str__(self) -> str:
        """The counts as a line for a person."""
        text = f"{self.images:,} images, {sum(self.objects):,} objects"
        text += f" and {self.ignored:,} ignored ones" if self.ignored else ""
        return f"{text}, {self.detections:,} detections"


@register("metric", "coco")
class CocoMetric:
    """Measure AP and AR as COCO defines them: its 12 numbers, and AP and AP50 of each class.

    Ignored objects (crowd, difficult) are COCO's crowd: what is found in them counts neither way.
    A number is NaN where the data hold no object that it could be measured on.

    Paper: Microsoft COCO: Common Objects in Context (Lin et al., 2014),
        https://arxiv.org/abs/1405.0312

    Args:
        max_detections: Detections of an image and class that count, best first. COCO's numbers
            have 100; another value gives the last recall its name (AR300).
    """

    def __init__(
        self,
        *,
        class_names: Wired[list[str]],
        category_ids: Wired[list[int]],
        max_detections: PositiveInt = 100,
    ) -> None:
        if not len(class_names) == len(category_ids) == len(set(category_ids)):
            raise DataError(
                f"the metric got {len(class_names)} class names and the category ids "
                f"{category_ids}; expected one id of its own for each class."
            )
        self.class_names = list(class_names)
        self.category_ids = list(category_ids)
        self.limits = sorted({1, 10, max_detections})
        self.limits = self.limits[: self.limits.index(max_detections) + 1]
        self._images: dict[int, ImageArrays] = {}
        self._warned = False

    def update(
        self, image_ids: list[int], detections: list[Detections], targets: list[Target]
    ) -> None:
        """Take the detections and objects of images, in original coordinates.

        Raises:
            DataError: A label is none of the classes.
        """
        for image_id, found, target in zip(image_ids, detections, targets, strict=True):
            self._check_labels(image_id, "detection", found.labels)
            self._check_labels(image_id, "object", target.labels)
            self._images[int(image_id)] = image_arrays(self._finite(found), target)

    def state(self) -> dict[str, Any]:
        """What `merge` of another rank takes."""
        return {"images": dict(self._images)}

    def merge(self, states: list[dict[str, Any]]) -> None:
        """Add the images of other ranks.

        Two ranks may have seen one image in batches that were padded differently. Which of the two
        counts follows from their content, so that all ranks compute the same numbers.
        """
        for state in states:
            for image_id, image in state["images"].items():
                known = self._images.get(image_id, image)
                self._images[image_id] = min(known, image, key=ImageArrays.content)

    def reset(self) -> None:
        """Forget all images."""
        self._images = {}
        self._warned = False

    def counts(self) -> Counts:
        """How many images, objects and detections the numbers rest on."""
        images = self._images.values()
        labels = [image.object_labels[~image.ignored] for image in images]
        objects = np.bincount(
            np.concatenate([*labels, np.zeros(0, np.int64)]), minlength=len(self.class_names)
        )
        return Counts(
            images=len(images),
            objects=objects.tolist(),
            ignored=sum(int(image.ignored.sum()) for image in images),
            detections=sum(len(image.scores) for image in images),
        )

    def compute(self) -> dict[str, float]:
        """The 12 numbers, then `AP/<class>` and `AP50/<class>`, 0..1 or NaN.

        They are taken from COCOeval's arrays as its `summarize` does, which itself works for a
        limit of 100 detections only and says -1 where there is nothing to measure.
        """
        with contextlib.redirect_stdout(io.StringIO()):  # pycocotools prints its progress
            evaluation = self._accumulate()
        precision = evaluation.eval["precision"][..., _MOST]  # (IoUs, recalls, C, areas)
        recall = evaluation.eval["recall"]  # (IoUs, C, areas, limits)
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
        columns = {number: column for column, number in enumerate(sorted(self.category_ids))}
        for name, number in zip(self.class_names, self.category_ids, strict=True):
            of_class = precision[:, :, columns[number], _ALL]  # COCOeval sorts categories by id
            numbers[f"AP/{name}"] = _mean(of_class)
            numbers[f"AP50/{name}"] = _mean(of_class[_IOU50])
        return numbers

    def _accumulate(self) -> COCOeval:
        """COCOeval after `evaluate` and `accumulate`."""
        images = dict(sorted(self._images.items()))
        objects = objects_index(images, self.category_ids)
        found = detections_index(images, self.category_ids)
        evaluation = COCOeval(objects, found, "bbox")
        evaluation.params.maxDets = self.limits
        evaluation.evaluate()
        evaluation.accumulate()
        return evaluation

    def _check_labels(self, image_id: int, what: str, labels: Tensor) -> None:
        wrong = labels[(labels < 0) | (labels >= len(self.class_names))]
        if len(wrong):
            raise DataError(
                f"image {image_id}: {what} with label {int(wrong[0])}, but the metric knows "
                f"{len(self.class_names)} classes (labels 0 to {len(self.class_names) - 1}): "
                "measure with the classes that the detector was built for."
            )

    def _finite(self, found: Detections) -> Detections:
        """Leave out NaN and infinity, since pycocotools counts a box of NaN as a match."""
        keep = found.boxes.isfinite().all(dim=1) & found.scores.isfinite()
        if keep.all():
            return found
        if not self._warned:
            self._warned = True
            _log.warning(
                "detections with boxes or scores that are not finite are left out of the metric: "
                "has the training diverged?"
            )
        return Detections(*(value[keep] for value in found))


def _mean(values: NDArray[np.float64]) -> float:
    """The mean over what was measured; COCOeval marks the rest with -1."""
    known = values[values > -1]
    return float(known.mean()) if known.size else math.nan
