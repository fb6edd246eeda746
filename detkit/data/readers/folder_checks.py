"""Checks and listings of folders, image files and class names for all readers."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from detkit.errors import DataError, did_you_mean
from detkit.image_files import files_below, images_among, is_hidden


def require_folder(path: Path) -> Path:
    """The folder itself.

    Raises:
        DataError: There is none, it is no folder, it is empty, or it may not be read.
    """
    try:
        return _existing_folder(path)
    except PermissionError as error:
        raise DataError(
            f"'{error.filename}' may not be read by this user: change the permissions of the data "
            "set's folder (chmod -R u+rX), or copy it."
        ) from error


def _existing_folder(path: Path) -> Path:
    if not path.exists():
        beside = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
        raise DataError(
            f"there is no folder '{path}' (looked from '{Path.cwd()}')."
            f"{did_you_mean(path.name, beside)} Set data.path to the folder of the data set."
        )
    if not path.is_dir():
        raise DataError(
            f"'{path}' is a file; set data.path to the folder that holds images and annotations."
        )
    if not any(path.iterdir()):
        raise DataError(
            f"the folder '{path}' is empty; set data.path to one that holds a data set."
        )
    return path


def require_split(path: Path, split: str, splits: Sequence[str]) -> None:
    """Raise DataError when a data set has no such split."""
    if split not in splits:
        if not splits:
            raise DataError(f"'{path}' has no split '{split}'; it is not divided into splits.")
        raise DataError(
            f"'{path}' has no split '{split}'.{did_you_mean(split, splits)} Its splits: "
            f"{', '.join(splits)}. Set data.train_split and data.validation_split to these names."
        )


def require_distinct(path: Path, class_names: Sequence[str]) -> None:
    """Raise DataError if two classes have the same name."""
    twice = sorted({name for name in class_names if class_names.count(name) > 1})
    if twice:
        raise DataError(f"'{path}' names these classes twice: {', '.join(twice)}; rename them.")


def image_files(folder: Path) -> list[Path]:
    """All image files under a folder, sorted by path."""
    return images_among(files_below(folder))


def files_with_suffix(folder: Path, suffix: str) -> list[Path]:
    """Files of a folder by suffix in lower or upper case, sorted, without hidden ones."""
    names = (name for name in os.listdir(folder) if name.lower().endswith(suffix))
    return [folder / name for name in sorted(names) if not is_hidden(name)]


def subfolders(path: Path, name: str = "") -> list[Path]:
    """The folders in a folder, sorted; with a name, only folders of that name in any case."""
    with os.scandir(path) as entries:  # knows folders without a system call for each entry
        names = sorted(entry.name for entry in entries if _is_folder(entry))
    return [path / n for n in names if not is_hidden(n) and (not name or n.lower() == name)]


def _is_folder(entry: os.DirEntry[str]) -> bool:
    if entry.is_symlink():  # isdir is False for a circular link, where is_dir() raises
        return os.path.isdir(entry.path)
    return entry.is_dir()


def lines_of(file: Path) -> list[str]:
    """The lines of a list of names, without blank ones; a mark of byte order is no name.

    Raises:
        DataError: The file cannot be read as text.
    """
    try:
        text = file.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"'{file}' cannot be read as text ({error}): replace it by UTF-8 text, one name a line."
        ) from error
    # not splitlines(), which also splits at rare characters that names may hold
    return [line.strip() for line in text.split("\n") if line.strip()]


def first_folder(path: Path, names: Iterable[str]) -> Path | None:
    """The first of some subfolders that exists."""
    return next((path / name for name in names if (path / name).is_dir()), None)


def relative_name(file: Path, root: Path) -> str:
    """A file name relative to the root if the file is below it, with forward slashes."""
    try:
        return file.relative_to(root).as_posix()
    except ValueError:
        return str(file)
