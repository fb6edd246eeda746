"""One label file of YOLO."""

from __future__ import annotations

import math
from pathlib import Path
from typing import NamedTuple

_BOX_VALUES = 4
_POLYGON_VALUES = 6  # three corners
_SLACK = 0.01  # how far above 1 or below 0 a share may lie: rounding, not pixels
_NO_LINE = "not `class cx cy w h`"
_NOWHERE = (0.0, 0.0, 0.0, 0.0)


class UnreadableLabelsError(Exception):
    """A label file that cannot be read; says why in words that follow "its label file"."""


class LabelLine(NamedTuple):
    """One line: an object, or why it is none.

    Attributes:
        number: Of the line, from 1.
        label: The class.
        shares: Left, top, right and bottom as shares of the image.
        problem: Why it cannot be used; None where it can.
        is_polygon: Whether the line holds corners, of which only the bounding box is kept.
    """

    number: int
    label: int = -1
    shares: tuple[float, float, float, float] = _NOWHERE
    problem: str | None = None
    is_polygon: bool = False


def read_labels(file: Path, class_count: int) -> list[LabelLine]:
    """The lines of a label file that are not blank.

    Raises:
        UnreadableLabelsError: The file is no text, or may not be read.
    """
    try:
        text = file.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise UnreadableLabelsError("is no text") from error
    except OSError as error:
        raise UnreadableLabelsError("cannot be read") from error
    lines = enumerate(text.splitlines(), start=1)
    return [_parse(number, line.split(), class_count) for number, line in lines if line.strip()]


def _parse(number: int, values: list[str], class_count: int) -> LabelLine:
    try:
        label, *numbers = (float(value) for value in values)
    except ValueError:
        return LabelLine(number, problem=_NO_LINE)
    is_polygon = len(numbers) >= _POLYGON_VALUES and len(numbers) % 2 == 0
    if not label.is_integer() or not (is_polygon or len(numbers) == _BOX_VALUES):
        return LabelLine(number, problem=_NO_LINE)
    problem = _problem(int(label), numbers, is_polygon, class_count)
    if problem is not None:
        return LabelLine(number, problem=problem)
    if is_polygon:
        across, down = numbers[0::2], numbers[1::2]
        shares = (min(across), min(down), max(across), max(down))
    else:
        shares = shares_of(*numbers)
    return LabelLine(number, int(label), shares, is_polygon=is_polygon)


def shares_of(x: float, y: float, w: float, h: float) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of a centre, width and height."""
    return x - w / 2, y - h / 2, x + w / 2, y + h / 2


def _problem(label: int, numbers: list[float], is_polygon: bool, class_count: int) -> str | None:
    """Why the numbers of a line cannot be used, or None."""
    if not 0 <= label < class_count:
        return f"class {label} of {class_count}, counted from 0"
    if not all(map(math.isfinite, numbers)):
        return "not finite"
    if max(numbers) > 1 + _SLACK:
        return "values above 1, which are no shares of the image"
    if not is_polygon and min(numbers[2:]) < 0:
        return "negative width or height"
    return None
