"""Text files that list images, possibly with paths from another machine."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from detkit.data.pairing import BY_ENDING
from detkit.data.readers.folder_checks import image_files, lines_of, relative_name
from detkit.data.readers.path_endings import PathEndings
from detkit.errors import DataError
from detkit.structures import Fault
from detkit.text import listed


class ListedImages(NamedTuple):
    """The images of a list, and a note about matches by the end of the path."""

    images: list[Path]
    notes: list[Fault]


class ImageTable:
    """The images of a data set, for look-up by name or by the end of a path.

    Args:
        root: The folder of the data set.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        files = image_files(root)
        self.names = {str(file) for file in files}
        self.endings = PathEndings(relative_name(file, root) for file in files)


def listed_images(file: Path, bases: Sequence[Path], table: ImageTable) -> ListedImages:
    """The images that the lines of a file name.

    A path is relative to one of the bases. If there is no such file, the path may come from another
    machine, and the image whose path has the same ending is used.

    Args:
        file: The list.
        bases: Folders that its paths may be relative to.
        table: The images of the data set.

    Raises:
        DataError: Several images match the ending of a path.
    """
    images: list[Path] = []
    matched: list[str] = []
    for number, line in enumerate(lines_of(file), start=1):
        image = _existing(line, bases, table) or _existing(line.replace("\\", "/"), bases, table)
        if image is None:
            match = table.endings.match(line)
            if match.candidates:
                either = listed((f"'{name}'" for name in match.candidates), "or")
                raise DataError(
                    f"'{file}' line {number}: '{line}' does not exist, but could mean {either}: "
                    "correct the path."
                )
            if match.path is not None:
                matched.append(f"{line} -> {match.path}")
            image = table.root / match.path if match.path else bases[0] / line.replace("\\", "/")
        images.append(image)
    notes = [_note(file, table.root, matched, len(images))] if matched else []
    return ListedImages(images, notes)


def _note(file: Path, root: Path, matched: list[str], count: int) -> Fault:
    detail = f"{len(matched):,} of {count:,}, such as {matched[0]}"
    return Fault("list", BY_ENDING, relative_name(file, root), detail=detail, left_out=False)


def _existing(name: str, bases: Sequence[Path], table: ImageTable) -> Path | None:
    """The image at a path, if it exists, in the table's spelling."""
    for base in bases:
        image = base / name
        if str(image) in table.names:
            return image
        if (".." in name or Path(name).is_absolute()) and image.is_file():
            resolved = image.resolve()
            root = table.root.resolve()
            inside = table.root / resolved.relative_to(root) if _is_in(resolved, root) else image
            return inside if str(inside) in table.names else image
    return None


def _is_in(file: Path, folder: Path) -> bool:
    return file.is_relative_to(folder)
