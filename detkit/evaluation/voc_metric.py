"""Average precision as Pascal VOC's development kit defines it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from detkit.evaluation.box_overlaps import iou_matrix
from detkit.evaluation.image_results import Counts, ImageArrays, SeenImages
from detkit.registry import Fraction, Wired, register
from detkit.structures import Detections, Target

_FOUND, _FALSE, _IGNORED = 1, 0, -1
_COMMON_THRESHOLD = 0.5  # that of AP50, which other parts of a training look at
_POINTS = 10  # steps between the 11 recalls of VOC 2007


@register("metric", "voc")
class VocMetric:
    """Measure AP of each class and their mean as Pascal VOC defines it.

    A detection belongs to the object of its class that it overlaps most. It is right where the IoU
    reaches the threshold and no better detection took that object; where the object is difficult
    (or a crowd), it counts neither way. A class without objects has no AP (NaN) and does not count
    in the mean.

    Departure: the development kit takes boxes of whole pixels, first pixel 1, both ends inside, and
    adds 1 to every width; detkit's boxes are continuous, without the 1. Both give the same IoU
    where boxes are converted (add 1 to left and top), and VOC's annotations are when they are read.

    With `11_points` the recalls are exact tenths: 3 of 10 objects reach recall 0.3. Python ports of
    the development kit use `np.arange(0, 1.1, 0.1)`, in which 0.3, 0.6 and 0.7 are slightly too
    large. If a recall is exactly one of these, they use the precision at the next higher recall,
    and their AP can be lower.

    Paper: The Pascal Visual Object Classes (VOC) Challenge (Everingham et al., 2010),
        https://doi.org/10.1007/s11263-009-0275-4

    Args:
        iou_threshold: The smallest IoU that finds an object.
        average: `area` under the precision made monotone (VOC 2010 and later), or `11_points`, the
            mean of the best precision at recalls 0, 0.1 ... 1 (VOC 2007).
    """

    def __init__(
        self,
        *,
        class_names: Wired[list[str]],
        iou_threshold: Fraction = 0.5,
        average: Literal["area", "11_points"] = "area",
    ) -> None:
        self.images = SeenImages(class_names)
        self.iou_threshold = iou_threshold
        self.average = average
        self.meanings: Mapping[str, str] = {
            "AP": f"Pascal VOC, IoU {iou_threshold:.2f}, {average.replace('_', ' ')}",
            "AP50": f"at IoU {_COMMON_THRESHOLD:.2f}",
        }

    def update(
        self, image_ids: list[int], detections: list[Detections], targets: list[Target]
    ) -> None:
        """Take the detections and objects of images, in original coordinates.

        Raises:
            DataError: A label is none of the classes, or an object's box is not finite.
        """
        self.images.update(image_ids, detections, targets)

    def state(self) -> dict[str, Any]:
        """What `merge` of another rank takes."""
        return self.images.state()

    def merge(self, states: list[dict[str, Any]]) -> None:
        """Add the images of other ranks."""
        self.images.merge(states)

    def reset(self) -> None:
        """Forget all images."""
        self.images.reset()

    def counts(self) -> Counts:
        """How many images, objects and detections the numbers rest on."""
        return self.images.counts()

    def compute(self) -> dict[str, float]:
        """`AP`, the mean over classes; `AP50`, the same at IoU 0.5; `AP/<class>`; 0..1 or NaN."""
        of_classes = self._of_classes(self.iou_threshold)
        common = of_classes
        if self.iou_threshold != _COMMON_THRESHOLD:
            common = self._of_classes(_COMMON_THRESHOLD)
        numbers = {"AP": _mean(of_classes), "AP50": _mean(common)}
        names = self.images.class_names
        return numbers | {f"AP/{n}": ap for n, ap in zip(names, of_classes, strict=True)}

    def _of_classes(self, threshold: float) -> list[float]:
        """AP of each class, in label order."""
        images = self.images.by_id().values()
        judged = [_judged(image, threshold) for image in images]
        scores, labels, verdicts = (
            (np.concatenate([np.zeros(0), *column]) for column in zip(*judged, strict=True))
            if judged
            else (np.zeros(0),) * 3
        )
        values = []
        for label, objects in enumerate(self.counts().objects):
            of_class = (labels == label) & (verdicts != _IGNORED)
            order = np.argsort(-scores[of_class], kind="stable")
            right = verdicts[of_class][order] == _FOUND
            values.append(average_precision(right, objects, self.average))
        return values


class Judged(NamedTuple):
    """The detections of an image: scores, labels, and what they are worth."""

    scores: NDArray[np.float32]
    labels: NDArray[np.int64]
    verdicts: NDArray[np.int64]


def _judged(image: ImageArrays, threshold: float) -> Judged:
    """Judge the detections of an image, best first."""
    order = np.argsort(-image.scores, kind="stable")
    scores, labels = image.scores[order], image.labels[order]
    verdicts = np.full(len(order), _FALSE)
    if len(order) and len(image.object_labels):
        overlaps = iou_matrix(image.boxes[order], image.object_boxes)
        same = labels[:, None] == image.object_labels[None]
        overlaps[~same | (overlaps == 0)] = -1
        best = overlaps.argmax(axis=1)
        hits = overlaps.max(axis=1) >= threshold
        verdicts[hits & image.ignored[best]] = _IGNORED
        taking = np.flatnonzero(hits & ~image.ignored[best])
        _, first = np.unique(best[taking], return_index=True)  # the best detection of each object
        verdicts[taking[first]] = _FOUND
    return Judged(scores, labels, verdicts)


def average_precision(right: NDArray[np.bool_], objects: int, average: str) -> float:
    """AP of detections that count, best first.

    Args:
        right: Whether each found an object.
        objects: How many there were to be found.
        average: `area` or `11_points`.
    """
    if objects == 0:
        return math.nan
    hits = right.cumsum()
    recall = hits / objects
    precision = hits / np.arange(1, len(right) + 1)
    best = np.maximum.accumulate(precision[::-1])[::-1]  # at this recall or a higher one
    if average == "area":
        return float((np.diff(recall, prepend=0) * best).sum())
    # k / 10 rounds as found / objects does; sums of 0.1 would miss recalls such as 3 of 10.
    first = np.searchsorted(recall, np.arange(_POINTS + 1) / _POINTS)
    return float(np.append(best, 0)[first].sum() / (_POINTS + 1))


def _mean(values: Iterable[float]) -> float:
    valid = [value for value in values if not math.isnan(value)]
    return sum(valid) / len(valid) if valid else math.nan
