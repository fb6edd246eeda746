"""Content of YOLO label files besides boxes, or in place of boxes."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from detkit.data.readers.yolo_labels import LabelFormat, LabelLine
from detkit.errors import DataError
from detkit.text import counted, plural

LOGGER = logging.getLogger("detkit.data")
_ORIENTED_BOX_CORNERS = 4
_FEW_LINES = 4  # fewer do not show whether labels start from 0 or 1


class LineCounts:
    """Counts the lines of label files by their content.

    Args:
        label_format: What the lines should hold.
    """

    def __init__(self, label_format: LabelFormat) -> None:
        self.label_format = label_format
        self._lines = 0
        self._corners: Counter[int] = Counter()
        self._poses = 0
        self._labels: Counter[int] = Counter()
        self._highest_in: Path | None = None  # the first file with a label above all classes
        self._other_formats: Counter[str] = Counter()
        self._first: dict[str, tuple[Path, int]] = {}

    def add(self, file: Path, lines: Sequence[LabelLine]) -> None:
        """Count the lines of a file."""
        self._lines += len(lines)
        for line in lines:
            if not line.is_other_format:
                self._labels[line.label] += 1
            if line.label == len(self.label_format.class_names):
                self._highest_in = self._highest_in or file
            if line.corners:
                self._corners[line.corners] += 1
            if line.key_points:
                self._poses += 1
            if line.is_other_format and line.problem is not None:
                self._other_formats[line.problem] += 1
                self._first.setdefault(line.problem, (file, line.number))

    def refuse_numbers_from_one(self) -> None:
        """Raise DataError if the labels are exactly 1 to C, so that each is one too high."""
        count = len(self.label_format.class_names)
        if self._labels.total() >= _FEW_LINES and set(self._labels) == set(range(1, count + 1)):
            raise DataError(
                f"'{self._highest_in}': the labels of this split are 1 to {count}, but "
                f"{counted(count, 'class')} have the labels 0 to {count - 1}: subtract 1."
            )

    @property
    def unused(self) -> dict[str, int]:
        """Count the lines that hold more than a box, by kind of content."""
        unused = {"key points": self._poses, plural(self._shape): self._corners.total()}
        return {name: count for name, count in unused.items() if count}

    @property
    def _shape(self) -> str:
        return "oriented box" if set(self._corners) == {_ORIENTED_BOX_CORNERS} else "polygon"

    def refuse_other_formats(self) -> None:
        """Raise DataError if most lines have another format, quoting the first of them."""
        count = self._other_formats.total()
        if count * 2 <= self._lines:
            return
        problem, alike = self._other_formats.most_common(1)[0]
        file, number = self._first[problem]
        raise DataError(
            f"'{file}' line {number}: {problem}. {alike:,} of {counted(self._lines, 'label line')} "
            "have this problem; expected `class cx cy w h` as fractions of the image size."
        )

    def report(self, root: Path) -> None:
        """Log unused content besides boxes."""
        if self._poses and self.label_format.key_points:
            LOGGER.info(
                "the labels of %s hold %s with %s each: the boxes are used, the key points are not",
                root,
                counted(self._poses, "box"),
                counted(self.label_format.key_points[0], "key point"),
            )
        if self._corners:
            LOGGER.info(
                "the labels of %s hold %s: the axis-aligned box around the corners is used%s",
                root,
                counted(self._corners.total(), self._shape),
                self._doubt(),
            )

    def _doubt(self) -> str:
        """A hint if every line has the same number of values, as key points would."""
        is_uniform = len(self._corners) == 1 and 1 < self._corners.total() == self._lines
        if not is_uniform:
            return ""
        return (
            f" (every line has {2 * next(iter(self._corners))} coordinates; if they are a box and "
            "key points, write kpt_shape in data.yaml)"
        )
