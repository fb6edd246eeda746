"""Find boxes in a convention other than the format's: shares, corners, centres, sizes."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from detkit.data.index import PARTLY_OUTSIDE
from detkit.structures import DatasetIndex

Boxes = NDArray[np.float64]
NORMALISED = "boxes in 0..1 instead of pixels"
CORNERS = "x1 y1 x2 y2 where x y width height is expected"
CENTRES = "centre x, centre y, width, height where x y width height is expected"
SHARES_OF_CORNERS = "x1 y1 x2 y2 where centre x, centre y, width, height is expected"
SIZES = "x y width height where x1 y1 x2 y2 is expected"
ADVICE = {
    NORMALISED: "Multiply x and width by the width of the image, y and height by its height: only "
    "YOLO labels are fractions of the image size.",
    CORNERS: "Write each box as [x1, y1, x2 - x1, y2 - y1].",
    CENTRES: "Write each box as [x - width / 2, y - height / 2, width, height].",
    SHARES_OF_CORNERS: "Write each line as class, (x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1.",
    SIZES: "Write each box as x, y, x + width, y + height.",
}
# No real box is inside the first 2 x 2 pixels. Fractions read as x, y, width, height are below 2.
_LARGEST_SHARE = 2.0
_SMALLEST_IMAGE = 8  # pixels per side; smaller images may have such boxes
_HALF = 0.5
_FEWEST = 3  # boxes needed for a conclusion
_MOST_OUTSIDE = 0.2  # share of the boxes; more leave their image only if they are misread
_FAR = 0.05  # of the image's side; less is careless drawing
_TOLERANCE = 2.0  # pixels by which correctly read boxes may leave their image
_SURE = 0.99  # share of the boxes that the correct reading must place inside their images
_SUSPICIOUS = (PARTLY_OUTSIDE, "outside the image", "inverted corners", "no area")


@dataclass(frozen=True)
class Misreading:
    """The convention that a split's boxes were wrongly read in.

    Attributes:
        cause: One of the causes above.
        boxes: File and box, as read, of each affected box.
        total: Boxes of the split.
    """

    cause: str
    boxes: list[tuple[str, tuple[float, float, float, float]]]
    total: int

    @property
    def share(self) -> float:
        """Share of affected boxes."""
        return len(self.boxes) / max(self.total, 1)

    @property
    def advice(self) -> str:
        """The advice to the user: which setting or file to change."""
        return ADVICE[self.cause]

    def describe(self, box: tuple[float, float, float, float]) -> str:
        """A box as the file has it, and how it was read."""
        x1, y1, x2, y2 = box
        if self.cause in (CORNERS, CENTRES):
            return f"{_text((x1, y1, x2 - x1, y2 - y1))} read as x y width height"
        if self.cause == SHARES_OF_CORNERS:
            return f"one that is read as the corners {_text(box)} in pixels"
        return f"{_text(box)} read as {'pixels ' * (self.cause == NORMALISED)}x1 y1 x2 y2"

    @property
    def is_hopeless(self) -> bool:
        """Whether training on the split would fail."""
        return self.cause != NORMALISED or self.share >= _HALF


def _text(numbers: tuple[float, ...]) -> str:
    return f"[{', '.join(f'{number:g}' for number in numbers)}]"


def find_misreading(index: DatasetIndex) -> Misreading | None:
    """Detect boxes in units or in a convention other than the reader assumes; None if they fit.

    Boxes in 0..1 are inside the first two pixels of their images. Other misreadings show in boxes
    that leave their images: at least a fifth of them do so by 5 % of a side, while another reading
    puts nearly all boxes of the split into their images.
    """
    if not len(index.boxes) and not index.faults:
        return None
    return _normalised(index) or _other_numbers(index)


def _normalised(index: DatasetIndex) -> Misreading | None:
    owners = np.repeat(np.arange(len(index)), np.diff(index.object_offsets))
    tiny = (index.boxes <= _LARGEST_SHARE).all(axis=1)
    tiny &= index.sizes[owners].min(axis=1, initial=2**30) >= _SMALLEST_IMAGE
    rows = np.flatnonzero(tiny)
    if len(rows) < min(_FEWEST, len(tiny)) or not len(rows):
        return None
    names = _names(index)
    boxes = index.boxes.tolist()
    cases = [(names[owners[row]], tuple(boxes[row])) for row in rows.tolist()]
    return Misreading(NORMALISED, cases, len(tiny))


def _other_numbers(index: DatasetIndex) -> Misreading | None:
    total = len(index.labels) + sum(f.left_out and f.what == "box" for f in index.faults)
    fewest = max(_FEWEST, _MOST_OUTSIDE * total)
    suspects = [(f.name, f.box) for f in index.faults if f.why in _SUSPICIOUS]
    if len(suspects) < fewest:
        return None
    sides = dict(zip(_names(index), index.sizes[:, ::-1].tolist(), strict=True))
    wrong = [(name, box) for name, box in suspects if box is not None and name in sides]
    if len(wrong) < fewest:
        return None
    boxes, limits = np.array([box for _, box in wrong]), np.array([sides[n] for n, _ in wrong])
    over = np.maximum(-boxes[:, :2], boxes[:, 2:] - limits) / limits
    inverted = (boxes[:, 2:] < boxes[:, :2]).any(axis=1)
    readings = {CORNERS: _as_corners, CENTRES: _as_centres}
    if index.pairing.annotation == "label file":  # of YOLO
        readings = {SHARES_OF_CORNERS: _as_shares_of_corners}
    if (over > _FAR).any(axis=1).sum() < fewest:
        readings = {SIZES: _as_sizes} if inverted.sum() >= fewest else {}
    whole, whole_limits = _whole_boxes(index)
    boxes, limits = np.concatenate([boxes, whole]), np.concatenate([limits, whole_limits])
    for cause, read in readings.items():
        if _inside(read(boxes), limits).mean() >= _SURE:
            return Misreading(cause, wrong, total)
    return None


def _names(index: DatasetIndex) -> list[str]:
    ends = index.file_offsets.tolist()
    return [
        index.file_names[start:stop].decode("utf-8", "surrogateescape")
        for start, stop in pairwise(ends)
    ]


def _whole_boxes(index: DatasetIndex) -> tuple[Boxes, Boxes]:
    """(K, 4) boxes that touch no edge, so were not cut, and (K, 2) sides of their images."""
    owners = np.repeat(np.arange(len(index)), np.diff(index.object_offsets))
    boxes = index.boxes.astype(np.float64)
    limits = index.sizes[owners][:, ::-1].astype(np.float64)
    whole = (boxes[:, :2] > 0).all(axis=1) & (boxes[:, 2:] < limits).all(axis=1)
    return boxes[whole], limits[whole]


def _as_corners(boxes: Boxes) -> Boxes:
    """The boxes if width and height were x2 and y2."""
    return np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)


def _as_centres(boxes: Boxes) -> Boxes:
    """The boxes if x and y were their centres."""
    half = (boxes[:, 2:] - boxes[:, :2]) / 2
    centred: Boxes = boxes - np.concatenate([half, half], axis=1)
    return centred


def _as_shares_of_corners(boxes: Boxes) -> Boxes:
    """The boxes if their centre, width and height were x1, y1, x2 and y2."""
    return np.concatenate([(boxes[:, :2] + boxes[:, 2:]) / 2, boxes[:, 2:] - boxes[:, :2]], axis=1)


def _as_sizes(boxes: Boxes) -> Boxes:
    """The boxes if x2 and y2 were width and height."""
    return np.concatenate([boxes[:, :2], boxes[:, 2:] + boxes[:, :2]], axis=1)


def _inside(boxes: Boxes, limits: Boxes) -> NDArray[np.bool_]:
    """(K,) whether each box has an area and is inside its image."""
    inside = (boxes[:, :2] >= -_TOLERANCE) & (boxes[:, 2:] <= limits + _TOLERANCE)
    return np.asarray((inside & (boxes[:, 2:] > boxes[:, :2])).all(axis=1))
