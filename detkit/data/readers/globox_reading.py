"""The base of the Labelme, CVAT and OpenImages readers, which use globox."""

from __future__ import annotations

import importlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar

from detkit.data.readers.folder_checks import relative_name, require_folder, require_split
from detkit.data.readers.image_entries import WHOLE, ImageEntry, ObjectEntry, index_of
from detkit.data.readers.split_names import split_of_path
from detkit.errors import DataError
from detkit.structures import DatasetIndex


class GloboxReader(ABC):
    """Base of readers whose boxes globox parses: a subclass finds the files and their entries.

    Attributes:
        expected: What the reader looks for, for the error if there is no file.
        annotation: The format's word for the annotation of an image.
    """

    expected: ClassVar[str]
    annotation: ClassVar[str]

    @abstractmethod
    def find_files(self, path: Path) -> list[Path]:
        """The annotation files below a folder, recognised by their content."""

    @abstractmethod
    def entries(self, path: Path) -> tuple[Sequence[ImageEntry], Sequence[tuple[str, str]]]:
        """The entries of all files, and the files that cannot be read, with reasons."""

    def files(self, path: Path) -> list[Path]:
        """The annotation files below a folder.

        Raises:
            DataError: There is none.
        """
        files = self.find_files(require_folder(path))
        if not files:
            raise DataError(
                f"'{path}' has no {self.expected}. Set data.path to the folder that holds it."
            )
        return files

    def splits(self, path: Path) -> list[str]:
        """The splits that the names of files and folders state."""
        return self.splits_of(path, ())

    def splits_of(self, path: Path, entries: Sequence[ImageEntry]) -> list[str]:
        """The splits, if the entries have been read already."""
        return distinct_splits([split_of_file(file, path) for file in self.files(path)])

    def read(self, path: Path, split: str | None) -> DatasetIndex:
        """The index of a split, or of all images.

        Raises:
            DataError: There are no such files or split, or globox is not installed.
        """
        globox()
        entries, unreadable = self.entries(path)
        if split is not None:
            require_split(path, split, self.splits_of(path, entries))
        return index_of(path, split, entries, unreadable, annotation=self.annotation)


def globox() -> Any:
    """The library.

    Raises:
        DataError: It is not installed.
    """
    try:
        return importlib.import_module("globox")
    except ImportError as error:
        raise DataError(
            "Labelme, CVAT and OpenImages data are read with globox, which is not installed: "
            'pip install "detkit[formats]".'
        ) from error


def boxed(parse: Callable[[], Any], name: str, ignored: bool = False) -> ObjectEntry:
    """An object with globox's box, or with the problem if globox refuses it.

    Args:
        parse: Returns globox's bounding box.
        name: The class, used if parsing fails.
        ignored: Whether the object is a group.
    """
    errors = importlib.import_module("globox.errors")
    try:
        box = parse()
    except (errors.ParsingError, KeyError, TypeError, ValueError):
        return ObjectEntry(name, None, "no four numbers", ignored)
    return ObjectEntry(box.label.strip(), box.ltrb, ignored=ignored)


def distinct_splits(splits: Sequence[str]) -> list[str]:
    """The splits of entries; none if some entries have none, so that every entry is read."""
    names = sorted(set(splits))
    return [] if WHOLE in names else names


def split_of_file(file: Path, root: Path) -> str:
    """The split that a file's name or folder states."""
    return split_of_path(Path(relative_name(file, root))) or WHOLE
