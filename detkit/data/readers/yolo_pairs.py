"""Pair the images and label files of a YOLO data set."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from detkit.data.pairing import match_unequal_names
from detkit.data.readers.folder_checks import relative_name
from detkit.image_files import files_below, images_among, is_image
from detkit.structures import Pairing

_OTHER_TEXTS = ("classes.txt", "predefined_classes.txt", "notes.txt", "readme.txt")
_LABEL_FOLDER = "labels"
_START = 4096  # bytes that identify a text file
_LEAST_VALUES = 5  # class cx cy w h


@dataclass(frozen=True)
class LabelPairs:
    """The label files of a split.

    Attributes:
        files: The label file of each image; None if the image has none.
        pairing: Images and label files without a counterpart.
        second_files: Images with a label file beside them that is unused because labels/ has one.
    """

    files: dict[Path, Path | None]
    pairing: Pairing
    second_files: frozenset[Path]


class LabelFolder:
    """All images and label files of a data set, listed once.

    Args:
        root: The folder of the data set.
        images: Images that it uses, possibly outside the folder.
    """

    def __init__(self, root: Path, images: Iterable[Path]) -> None:
        self.root = root
        self._prefix = f"{root}/" if root.parts else ""  # "." is no part of its files' paths
        files = list(files_below(root))
        self._texts = {str(file) for file in files if file.suffix.lower() == ".txt"}
        all_images = [*images_among(files), *images]
        self._expected = {image: self._expected_files(image) for image in all_images}

    def pairs(self, images: Sequence[Path]) -> LabelPairs:
        """Pair the images of a split with their label files."""
        members = set(images)
        files = {image: self._existing(image) for image in self._expected}
        expected = {str(file) for pair in self._expected.values() for file in pair}
        lone = [Path(text) for text in sorted(self._texts - expected)]
        lone = [file for file in lone if self._holds_labels(file)]
        matches: Counter[str] = Counter()
        matched: set[Path] = set()
        if lone:
            paired = {file for pair in files.items() if pair[1] for file in pair if file}
            annotations = [*(file for file in files.values() if file), *lone]
            for match in match_unequal_names(
                self.root, images=files, annotations=dict.fromkeys(annotations), paired=paired
            ):
                files[match.image] = match.annotation
                matched.add(match.annotation)
                matches[match.difference] += match.image in members
        split = {image: files[image] for image in images}
        pairing = Pairing(
            annotation="label file",
            matches={way: count for way, count in matches.items() if count},
            annotations_without_image=self._names(self._of_split(split, set(lone) - matched)),
            images_without_annotation=self._names(i for i, file in split.items() if file is None),
        )
        return LabelPairs(split, pairing, frozenset(filter(self._has_second_file, images)))

    def _expected_files(self, image: Path) -> tuple[str, ...]:
        """Possible label files of an image: in labels/ in place of images/, or beside the image."""
        stem = os.path.splitext(image)[0]
        start = len(self._prefix) if self._is_inside(stem) else 0
        position = f"/{stem}".rfind("/images/", start)
        beside = f"{stem}.txt"
        if position < 0:
            return (beside,)
        after = position + len("images/")
        return f"{stem[:position]}{_LABEL_FOLDER}/{stem[after:]}.txt", beside

    def _is_inside(self, file: str) -> bool:
        """Whether a file is below the folder of the data set."""
        if not self._prefix:
            return not file.startswith(("/", "../"))
        return file.startswith(self._prefix)

    def _existing(self, image: Path) -> Path | None:
        expected = self._expected[image]
        if self._is_inside(expected[-1]):
            return next((Path(file) for file in expected if file in self._texts), None)
        return next((file for file in map(Path, expected) if file.is_file()), None)

    def _has_second_file(self, image: Path) -> bool:
        expected = self._expected[image]
        return len(expected) > 1 and self._texts.issuperset(expected)

    def _of_split(self, images: Iterable[Path], lone: set[Path]) -> list[Path]:
        """The lone files in the split's label folders, or in no label folder at all."""
        inside = {os.path.dirname(file) for image in images for file in self._expected[image]}
        all_of_them = {os.path.dirname(file) for pair in self._expected.values() for file in pair}
        outside = all_of_them - inside
        return sorted(file for file in lone if os.path.dirname(file) not in outside)

    def _names(self, files: Iterable[Path]) -> list[str]:
        return [relative_name(file, self.root) for file in files]

    def _holds_labels(self, file: Path) -> bool:
        """Whether a text file is a label file, judging by its folder or its content."""
        if file.name.lower() in _OTHER_TEXTS:
            return False
        folders = file.relative_to(self.root).parts[:-1]
        return looks_like_labels(file, is_expected=_LABEL_FOLDER in map(str.lower, folders))


def looks_like_labels(file: Path, *, is_expected: bool = False) -> bool:
    """Whether a text file begins with a line of at least five numbers.

    Args:
        file: The text file.
        is_expected: Whether the file is in a label folder; it then counts unless it is a list.
    """
    try:
        start = file.read_bytes()[:_START].decode("utf-8-sig", errors="replace")
    except OSError:
        return is_expected
    line = next((line for line in start.splitlines() if line.strip()), "")
    if is_expected:
        return not is_image(Path(line.strip()))
    values = re.split(r"[\s,;]+", line.strip())
    return len(values) >= _LEAST_VALUES and all(map(_is_number, values))


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
