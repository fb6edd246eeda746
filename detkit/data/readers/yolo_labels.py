"""One label file of YOLO."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

_BOX_VALUES = 4
_POLYGON_VALUES = 6  # three corners
_SLACK = 0.01  # tolerance above 1 or below 0 for fractions: rounding, not pixels
_NO_LINE = "not `class cx cy w h`"
_PIXELS = "values above 1, which cannot be fractions of the image size"
_NOWHERE = (0.0, 0.0, 0.0, 0.0)
_VISIBILITIES = {0.0, 1.0, 2.0}
_DECIMAL_COMMA = re.compile(r"\d+(\s+-?\d*,\d+){4,}")


class UnreadableLabelsError(Exception):
    """A label file that cannot be read; says why in words that follow "its label file"."""


@dataclass(frozen=True)
class LabelFormat:
    """The expected content of a data set's label lines.

    Attributes:
        class_names: The classes in label order.
        key_points: The number of key points after a box, and of values per key point, or None.
    """

    class_names: Sequence[str]
    key_points: tuple[int, int] | None = None


class LabelLine(NamedTuple):
    """One line: an object, or the reason that it holds none.

    Attributes:
        number: The line's number, from 1.
        label: The class.
        shares: Left, top, right and bottom as shares of the image.
        problem: Why the line cannot be used; None if it can.
        is_other_format: Whether the problem is the format, so that other lines will share it.
        corners: The number of polygon corners; only their bounding box is used.
        key_points: The number of key points, which are not used.
    """

    number: int
    label: int = -1
    shares: tuple[float, float, float, float] = _NOWHERE
    problem: str | None = None
    is_other_format: bool = False
    corners: int = 0
    key_points: int = 0


def read_labels(file: Path, label_format: LabelFormat) -> list[LabelLine]:
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
    return [_parse(number, line, label_format) for number, line in lines if line.strip()]


def _parse(number: int, text: str, label_format: LabelFormat) -> LabelLine:
    try:
        label, *values = map(float, text.split())
    except ValueError:
        reason = _problem_of_text(text.strip(), label_format)
        return LabelLine(number, problem=reason, is_other_format=reason != _NO_LINE)
    count, per_point = label_format.key_points or (0, 0)
    has_points = bool(count) and len(values) == _BOX_VALUES + count * per_point
    if has_points:
        values = values[:_BOX_VALUES]
    is_polygon = len(values) >= _POLYGON_VALUES and len(values) % 2 == 0
    problem = _problem_of_count(label, values, label_format, is_polygon)
    if problem is not None:
        return LabelLine(number, problem=problem, is_other_format=problem != _NO_LINE)
    problem = _problem(int(label), values, is_polygon, len(label_format.class_names))
    if problem is not None:
        is_pixels = problem == _PIXELS
        return LabelLine(number, int(label), problem=problem, is_other_format=is_pixels)
    if not is_polygon:
        points = count if has_points else 0
        return LabelLine(number, int(label), shares_of(*values), key_points=points)
    across, down = values[0::2], values[1::2]
    shares = (min(across), min(down), max(across), max(down))
    return LabelLine(number, int(label), shares, corners=len(across))


def shares_of(x: float, y: float, w: float, h: float) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of a centre, width and height."""
    return x - w / 2, y - h / 2, x + w / 2, y + h / 2


def _problem_of_text(text: str, label_format: LabelFormat) -> str:
    """Explain why a line does not consist of numbers."""
    if _DECIMAL_COMMA.fullmatch(text):
        return "decimal commas; write 0.5 instead of 0,5"
    for separator, name in ((",", "commas"), (";", "semicolons")):
        if separator in text and _are_numbers(
            re.split(rf"[\s{separator}]+", text.strip(separator))
        ):
            return f"values separated by {name}; separate them by spaces"
    words = text.split()
    name = " ".join(words[:-_BOX_VALUES])
    if name and _are_numbers(words[-_BOX_VALUES:]) and not _are_numbers([name]):
        names = list(label_format.class_names)
        number = (
            f"write its number, {names.index(name)}"
            if name in names
            else "no class of this data set has that name"
        )
        return f"the class name '{name}' instead of a number; {number}"
    return _NO_LINE


def _are_numbers(values: Sequence[str]) -> bool:
    try:
        return len([float(value) for value in values]) > 0
    except ValueError:
        return False


def _problem_of_count(
    label: float, values: Sequence[float], label_format: LabelFormat, is_polygon: bool
) -> str | None:
    """Explain why a line has too many or too few values; None if it does not."""
    if not label.is_integer():
        return _NO_LINE
    if label_format.key_points is not None and len(values) != _BOX_VALUES:
        count, per_point = label_format.key_points
        expected = 1 + _BOX_VALUES + count * per_point
        reason = f"because kpt_shape is [{count}, {per_point}]"
        return f"{1 + len(values)} values; expected {expected}, {reason}"
    if len(values) == _BOX_VALUES + 1:
        last = "the last of them a confidence" if 0 <= values[-1] <= 1 else "one too many"
        return f"6 values, {last}; delete that column"
    if len(values) > _POLYGON_VALUES and _have_visibility(values):
        points = (len(values) - _BOX_VALUES) // 3
        return f"key points after the box; write kpt_shape: [{points}, 3] in data.yaml"
    return None if is_polygon or len(values) == _BOX_VALUES else _NO_LINE


def _have_visibility(values: Sequence[float]) -> bool:
    """Whether values look like a box and key points (x, y, visibility)."""
    visibilities = values[_BOX_VALUES + 2 :: 3]
    fits = (len(values) - _BOX_VALUES) % 3 == 0 and _VISIBILITIES.issuperset(visibilities)
    return fits and (len(values) % 2 == 1 or max(visibilities) > 1)


def _problem(label: int, numbers: list[float], is_polygon: bool, class_count: int) -> str | None:
    """Explain why the numbers of a line cannot be used; None if they can."""
    if not 0 <= label < class_count:
        return f"class {label} of {class_count}, counted from 0"
    if not all(map(math.isfinite, numbers)):
        return "not finite"
    if max(numbers) > 1 + _SLACK:
        return _PIXELS
    if not is_polygon and min(numbers[2:]) < 0:
        return "negative width or height"
    return None
