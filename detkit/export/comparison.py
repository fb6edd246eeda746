"""Compare the outputs of an exported model with PyTorch's."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import inf
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detkit.inference.engines.contract import PaddedArrays
from detkit.structures.arrays import DetectionArrays
from detkit.structures.exported import RAW_OUTPUTS
from detkit.structures.mask_arrays import MaskArrays

Outputs = Sequence[NDArray[Any]]
Pairs = tuple[NDArray[np.int64], NDArray[np.int64]]  # positions of expected and actual rows
_ANY_SIZE = (0, 0)  # of the image; only pasting masks depends on it


@dataclass(frozen=True)
class Tolerance:
    """How far a precision may be off.

    Attributes:
        pixels: Largest difference of a box's coordinate.
        score: Largest difference of a score.
        mask: Largest difference of a probability in a mask.
        share: Largest share of detections that differ by more, or that only one side has: the
            order of nearly equal scores decides which boxes NMS removes.
        ap: Largest loss or gain of AP.
    """

    pixels: float
    score: float
    mask: float
    share: float
    ap: float


# Rounding adds up over the layers: 1e-4 of 1,000 pixels for 24 bits, 1e-2 for 11 bits. In int8 only
# AP says whether a model is good.
TOLERANCES = {
    "fp32": Tolerance(pixels=0.1, score=0.001, mask=0.01, share=0.001, ap=0.001),
    "fp16": Tolerance(pixels=2.0, score=0.02, mask=0.05, share=0.05, ap=0.005),
    "int8": Tolerance(pixels=inf, score=inf, mask=inf, share=1.0, ap=0.02),
}


def split(outputs: Outputs) -> Iterator[DetectionArrays]:
    """The detections of each image of padded outputs, with masks if there are any."""
    *columns, masks = outputs if len(outputs) > len(PaddedArrays._fields) else (*outputs, None)
    return PaddedArrays(*columns).with_masks(masks).split(_ANY_SIZE)


@dataclass
class Comparison:
    """What many compared outputs add up to.

    Attributes:
        rows: Detections, or rows of raw outputs, on the side that has more of them.
        different: Rows that differ by more than the tolerance, or that only one side has.
        pixels: Largest difference of a coordinate between rows that agree.
        score: Largest difference of a score between rows that agree.
        mask: Largest difference of a probability in the masks of rows that agree; None without
            masks.
    """

    tolerance: Tolerance
    rows: int = 0
    different: int = 0
    pixels: float = 0.0
    score: float = 0.0
    mask: float | None = None

    def add(self, expected: Outputs, actual: Outputs) -> None:
        """Compare the outputs of one batch, of a graph with or without post-processing."""
        is_padded = len(expected) > len(RAW_OUTPUTS)  # the padding may differ
        if is_padded and len(expected[0]) == len(actual[0]):
            for pair in zip(split(expected), split(actual), strict=True):
                self.add_image(*pair)
        elif expected[1].shape == actual[1].shape:  # raw boxes and scores, in the same order
            pairs = list(zip(expected, actual, strict=True))
            boxes, scores = (np.abs(a - b).max(axis=-1, initial=0.0).ravel() for a, b in pairs)
            self._add_rows(boxes, scores, scores.size)
        else:
            rows = int(np.prod(expected[1].shape[:2]))
            self.rows, self.different = self.rows + rows, self.different + rows

    def add_image(self, expected: DetectionArrays, actual: DetectionArrays) -> None:
        """Compare the detections of one image, each with the nearest one of its class."""
        most = max(len(expected.scores), len(actual.scores))
        pairs = _nearest(expected, actual)
        rows, columns = pairs
        boxes = np.abs(expected.boxes[rows] - actual.boxes[columns]).max(axis=-1, initial=0.0)
        scores = np.abs(expected.scores[rows] - actual.scores[columns])
        masks = _mask_differences(expected, actual, pairs)
        self._add_rows(boxes, scores, most, masks)

    def _add_rows(
        self,
        boxes: NDArray[Any],
        scores: NDArray[Any],
        most: int,
        masks: NDArray[Any] | None = None,
    ) -> None:
        agree = (boxes <= self.tolerance.pixels) & (scores <= self.tolerance.score)
        if masks is not None:
            agree &= masks <= self.tolerance.mask
            self.mask = max(self.mask or 0.0, float(masks[agree].max(initial=0.0)))
        self.rows += most
        self.different += most - int(agree.sum())
        self.pixels = max(self.pixels, float(boxes[agree].max(initial=0.0)))
        self.score = max(self.score, float(scores[agree].max(initial=0.0)))

    @property
    def is_close(self) -> bool:
        """Whether few enough rows differ."""
        return self.different <= self.tolerance.share * self.rows

    def text(self) -> str:
        """One line."""
        masks = "" if self.mask is None else f" and {self.mask:.2g} in their masks"
        return (
            f"{self.different:,} of {self.rows:,} rows differ; the others agree to "
            f"{self.pixels:.2g} px and {self.score:.2g} in score{masks}"
        )


def _mask_differences(
    expected: DetectionArrays, actual: DetectionArrays, pairs: Pairs
) -> NDArray[Any] | None:
    """The largest difference in the masks of each pair; None if neither side has masks."""
    if expected.masks is None and actual.masks is None:
        return None
    maps = [
        side.masks.probabilities[positions]
        for side, positions in zip((expected, actual), pairs, strict=True)
        if isinstance(side.masks, MaskArrays)
    ]
    if [array.shape for array in maps] != [maps[0].shape] * len(pairs):
        return np.full(len(pairs[0]), inf)  # one side lacks them, or has another size
    return np.asarray(np.abs(maps[0] - maps[1]).max(axis=(1, 2), initial=0.0))


def _nearest(expected: DetectionArrays, actual: DetectionArrays) -> Pairs:
    """Pairs of detections with the same class, nearest first; each is in one pair at most."""
    distance = np.abs(expected.boxes[:, None] - actual.boxes[None]).max(axis=-1, initial=0.0)
    distance = distance + np.abs(expected.scores[:, None] - actual.scores[None])
    distance = np.where(expected.labels[:, None] == actual.labels[None], distance, np.inf)
    order = np.argsort(distance, axis=None, kind="stable")
    rows, columns = np.unravel_index(order, distance.shape)
    free_rows = np.ones(len(expected.scores), dtype=bool)
    free_columns = np.ones(len(actual.scores), dtype=bool)
    pairs: list[tuple[int, int]] = []
    for row, column in zip(rows.tolist(), columns.tolist(), strict=True):
        if free_rows[row] and free_columns[column] and np.isfinite(distance[row, column]):
            free_rows[row] = free_columns[column] = False
            pairs.append((row, column))
    pairs_array = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    return pairs_array[:, 0], pairs_array[:, 1]
