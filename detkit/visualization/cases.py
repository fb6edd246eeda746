"""Pictures of annotation faults: faulty boxes in red among the other boxes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from PIL import Image

from detkit.visualization.colours import Colour
from detkit.visualization.draw import Mark, draw_marks
from detkit.visualization.panels import montage, resized

Box = tuple[float, float, float, float]
_FAULTY: Colour = (225, 20, 30)
_SURROUND: Colour = (70, 72, 78)  # beyond the edge of an image
_CELL = 480  # longest side of a picture on the sheet
_MOST_BEYOND = 0.25  # share of the image's size shown beyond its edge
_LONGEST_RATIO = 6  # of the sides; of a longer picture only a part is shown
_LEAST_SIDE = 0.02  # of the longest side; thinner boxes are drawn wider


@dataclass(frozen=True)
class Case:
    """An image with faulty annotations.

    Attributes:
        picture: The image.
        caption: The text above it.
        faulty: Boxes to draw in red; they may be inverted, empty or outside the image.
        text: The label of the faulty boxes.
        others: The other boxes of the image.
    """

    picture: Image.Image
    caption: str
    faulty: Sequence[Box] = ()
    text: str = ""
    others: Sequence[Mark] = ()


def draw_cases(cases: Sequence[Case], columns: int = 3) -> Image.Image:
    """A sheet of all cases, in order.

    Raises:
        ValueError: There are no cases.
    """
    if not cases:
        raise ValueError("a sheet needs one case or more")
    parts = [part_of(case) for case in cases]
    pictures = [draw_case(part) for part in parts]
    return montage(pictures, [part.caption for part in parts], columns=min(columns, len(cases)))


def draw_case(case: Case) -> Image.Image:
    """The image with its boxes, with a margin where boxes extend beyond it."""
    case = part_of(case)
    picture, factor = resized(case.picture.convert("RGB"), _CELL)
    boxes = [_scaled(box, factor) for box in case.faulty if all(map(math.isfinite, box))]
    x, y, right, bottom = _beyond(boxes, picture.size)
    canvas = Image.new("RGB", (picture.width + x + right, picture.height + y + bottom), _SURROUND)
    canvas.paste(picture, (x, y))
    marks = [Mark(_moved(_visible(box, _CELL), x, y), case.text, _FAULTY) for box in boxes]
    marks += [
        Mark(_moved(_scaled(mark.box, factor), x, y), mark.text, mark.colour, mark.dashed)
        for mark in case.others
    ]
    return resized(draw_marks(canvas, marks), _CELL)[0]


def part_of(case: Case) -> Case:
    """Crop a panorama, which would shrink to a line, to the part around its faulty boxes.

    If they do not fit into one part, the part is around the first. Boxes are clipped at the edge
    of the part, but not at the edge of the image.
    """
    size = case.picture.size
    axis = 0 if size[0] > size[1] else 1
    length = _LONGEST_RATIO * min(size)
    if max(size) <= length:
        return case
    boxes = [_scaled(box, 1.0) for box in case.faulty if all(map(math.isfinite, box))]
    start = _start(boxes, axis, length, size[axis])
    window = (
        (start, 0, start + length, size[1]) if axis == 0 else (0, start, size[0], start + length)
    )
    inner = (start > 0, start + length < size[axis])
    cut = [_within(box, axis, start, length, inner) for box in boxes]
    marks = [(mark, _within(mark.box, axis, start, length, inner)) for mark in case.others]
    return replace(
        case,
        picture=case.picture.crop(window),
        caption=f"{case.caption} ({'xy'[axis]} {start} to {start + length})",
        faulty=[box for box in cut if box is not None],
        others=[replace(mark, box=box) for mark, box in marks if box is not None],
    )


def _start(boxes: Sequence[Box], axis: int, length: int, whole: int) -> int:
    """Start of a part of some length, centred on the boxes, or on the first if they do not fit."""
    low = min((box[axis] for box in boxes), default=0)
    high = max((box[axis + 2] for box in boxes), default=whole)
    if boxes and high - low > length:
        low, high = boxes[0][axis], boxes[0][axis + 2]
    return round(min(max((low + high - length) / 2, 0), whole - length))


def _within(box: Box, axis: int, start: int, length: int, inner: tuple[bool, bool]) -> Box | None:
    """A box in the coordinates of a part, clipped at its inner ends; None if it is outside."""
    low, high = box[axis] - start, box[axis + 2] - start
    if (inner[0] and high < 0) or (inner[1] and low > length):
        return None
    low = max(low, 0.0) if inner[0] else low
    high = min(high, float(length)) if inner[1] else high
    return (low, box[1], high, box[3]) if axis == 0 else (box[0], low, box[2], high)


def _scaled(box: Box, factor: float) -> Box:
    x1, y1, x2, y2 = (value * factor for value in box)
    return (min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2))


def _moved(box: Box, right: float, down: float) -> Box:
    return (box[0] + right, box[1] + down, box[2] + right, box[3] + down)


def _visible(box: Box, longest_side: int) -> Box:
    """The box, enlarged if it would be too thin to see."""
    least = _LEAST_SIDE * longest_side
    across, down = max(0.0, least - box[2] + box[0]) / 2, max(0.0, least - box[3] + box[1]) / 2
    return (box[0] - across, box[1] - down, box[2] + across, box[3] + down)


def _beyond(boxes: Sequence[Box], size: tuple[int, int]) -> tuple[int, int, int, int]:
    """Pixels to show left, above, right of and below a picture, so that boxes are visible."""
    width, height = size
    reach = [
        max([0.0, *(-box[0] for box in boxes)]),
        max([0.0, *(-box[1] for box in boxes)]),
        max([0.0, *(box[2] - width for box in boxes)]),
        max([0.0, *(box[3] - height for box in boxes)]),
    ]
    most = (width, height, width, height)
    return tuple(  # type: ignore[return-value]  # four, as `reach` has
        math.ceil(min(far, _MOST_BEYOND * side)) for far, side in zip(reach, most, strict=True)
    )
