"""Average precision of weighted images: what COCOeval computes if images occur several times."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from detkit.evaluation.coco_matches import IOU_THRESHOLDS, SIZES, CocoMatches
from detkit.evaluation.precision_recall import RECALLS

Values = NDArray[np.float64]
Weights = NDArray[np.int32]
COLUMNS = ("AP", "AP50", "AP75", "AP_small", "AP_medium", "AP_large")
_CHUNK = 2_000_000  # entries of the largest array: 16 MB
_IOU50, _IOU75 = 0, 5
_ALL = 0
_ROUNDING = 1e-6  # more than the error of a product, less than the distance of two recalls


class WeightedPrecision:
    """The APs of each class for any weights of the images.

    An image of weight 2 counts as two images that follow each other. The images are matched once;
    weights change only sums, so that a thousand of them take seconds. If a class has two equal
    scores in one image, each detection counts twice before the next one.

    Args:
        matches: The matches of all images.
        sizes: Whether to compute the APs of small, medium and large objects, else NaN.
    """

    def __init__(self, matches: CocoMatches, *, sizes: bool = True) -> None:
        self._areas = len(SIZES) if sizes else 1
        self._images = len(matches.image_ids)
        self._objects = [
            _sum_of_images(
                matches.object_labels[matches.object_sizes[:, area]],
                matches.object_images[matches.object_sizes[:, area]],
                (len(matches.class_names), self._images),
            )
            for area in range(self._areas)
        ]
        self._classes = [
            [_CurveSums.of(matches, label, area) for area in range(self._areas)]
            for label in range(len(matches.class_names))
        ]

    def __call__(self, weights: Weights) -> Values:
        """(B, C, 6) the `COLUMNS` of each class; NaN without objects.

        Args:
            weights: (B, I) how often each image occurs.
        """
        rows = max([self._images, *(len(sums.rows) for (sums, *_) in self._classes)])
        chunk = max(1, _CHUNK // rows)
        parts = [self._chunk(weights[at : at + chunk]) for at in range(0, len(weights), chunk)]
        return np.concatenate([np.zeros((0, len(self._classes), len(COLUMNS))), *parts])

    def _chunk(self, weights: Weights) -> Values:
        of_images = np.ascontiguousarray(weights.T)  # (I, B)
        result = np.full((len(weights), len(self._classes), len(COLUMNS)), np.nan)
        for area, per_class in enumerate(self._objects):
            counts = per_class @ of_images  # (C, B)
            for label, classes in enumerate(self._classes):
                if not counts[label].any():
                    continue
                precisions = classes[area].average_precisions(of_images, counts[label])  # (T, B)
                mean = precisions.mean(axis=0)
                if area == _ALL:
                    result[:, label, :3] = np.stack(
                        [mean, precisions[_IOU50], precisions[_IOU75]], axis=1
                    )
                else:
                    result[:, label, 2 + area] = mean
        return result


class _Correction(NamedTuple):
    """The matches of one IoU threshold, and what it counts besides the lowest threshold."""

    rows: NDArray[np.int64]  # of the matches in `_CurveSums.rows`
    counted: csr_array | None


class _CurveSums(NamedTuple):
    """The sums over images that the precision of one class and size needs.

    A precision matters only where recall grows, so at the R rows that match at some threshold.

    Attributes:
        rows: (R,) images of the matching detections.
        counted: (R, I) detections of each image that count, after the row before, up to this row.
        thresholds: For each IoU threshold.
    """

    rows: NDArray[np.int64]
    counted: csr_array
    thresholds: Sequence[_Correction]

    @staticmethod
    def of(matches: CocoMatches, label: int, area: int) -> _CurveSums:
        part = slice(*matches.ends[label : label + 2].tolist())
        images = matches.images[part].astype(np.int64)
        correct, counted = matches.correct[part, area], matches.counted[part, area]
        rows = np.flatnonzero(correct)
        segments = np.searchsorted(rows, np.arange(len(images)))
        before_end = segments < len(rows)
        shape = (len(rows), len(matches.image_ids))

        def of_rows(values: NDArray[np.int32]) -> csr_array:
            at = before_end & (values != 0)
            return _sum_of_images(segments[at], images[at], shape, values[at])

        bits = [(counted >> bit & 1).astype(np.int32) for bit in range(len(IOU_THRESHOLDS))]
        thresholds = []
        for bit, flags in enumerate(bits):
            difference = flags - bits[0]
            correction = of_rows(difference) if difference.any() else None
            is_match = (correct[rows] >> bit & 1).astype(bool)
            thresholds.append(_Correction(np.flatnonzero(is_match), correction))
        return _CurveSums(images[rows], of_rows(bits[0]), thresholds)

    def average_precisions(self, of_images: Weights, objects: NDArray[np.int32]) -> Values:
        """(T, B) AP at each IoU threshold; NaN without objects.

        Args:
            of_images: (I, B) weights.
            objects: (B,) weighted objects of the class.
        """
        counted = _running_sum(self.counted @ of_images)  # (B, R)
        weights = of_images[self.rows]
        values = []
        for rows, correction in self.thresholds:
            total = counted
            if correction is not None:
                total = counted + _running_sum(correction @ of_images)
            correct = _running_sum(weights[rows])
            values.append(_average_precision(correct, total[:, rows], objects))
        return np.where(objects > 0, np.stack(values), np.nan)


def _average_precision(
    correct: NDArray[np.int32], counted: NDArray[np.int32], objects: NDArray[np.int32]
) -> Values:
    """(B,) mean over COCO's recalls of the highest precision at this recall or above.

    Args:
        correct: (B, R) correct detections so far.
        counted: (B, R) detections so far.
        objects: (B,)
    """
    precision = correct / np.maximum(counted, 1)
    best = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    recall = correct / np.maximum(objects, 1)[:, None]
    reached = (recall * (len(RECALLS) - 1) + _ROUNDING).astype(np.int32)
    reached += RECALLS[reached] <= recall  # how many of COCO's recalls are reached
    gained = np.diff(reached, axis=1, prepend=0)
    mean: Values = (gained * best).sum(axis=1) / len(RECALLS)
    return mean


def _running_sum(sums: NDArray[np.int32]) -> NDArray[np.int32]:
    """(B, R) sums over the rows so far, of sums (R, B) of each row."""
    return np.ascontiguousarray(sums.T).cumsum(axis=1, dtype=np.int32)


def _sum_of_images(
    rows: NDArray[np.integer[Any]],
    images: NDArray[np.integer[Any]],
    shape: tuple[int, int],
    values: NDArray[np.int32] | None = None,
) -> csr_array:
    """The matrix that sums the weights of images for each row."""
    ones = np.ones(len(rows), np.int32) if values is None else values
    return csr_array((ones, (rows, images)), shape=shape)


def resampled_weights(images: int, samples: int, seed: int) -> Iterator[Weights]:
    """Chunks (b, I) of how often each image occurs in samples drawn with replacement.

    Args:
        images: I, the number of images, and of draws in each sample.
        samples: The number of samples.
        seed: Seed of the draws.
    """
    random = np.random.default_rng(seed)
    chunk = max(1, _CHUNK // max(1, images))
    for start in range(0, samples, chunk):
        count = min(chunk, samples - start)
        draws = random.integers(0, images, (count, images))
        yield np.stack([np.bincount(row, minlength=images) for row in draws]).astype(np.int32)
