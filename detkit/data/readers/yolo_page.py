"""What the data.yaml or classes.txt of a YOLO folder says."""

from __future__ import annotations

import reprlib  # aliases of YAML can stand for more text than memory holds
from pathlib import Path
from typing import Any

import yaml

from detkit.data.counting import counted
from detkit.data.readers.folders import image_files, lines_of, require_distinct
from detkit.errors import DataError
from detkit.image_files import is_image

_PAGES = ("data.yaml", "data.yml", "dataset.yaml", "dataset.yml")
_LISTS = ("classes.txt", "obj.names", "labels/classes.txt")
# What else a page says; every other key whose value leads to images is a split.
_NO_SPLITS = ("path", "names", "nc", "download", "channels", "kpt_shape", "flip_idx", "roboflow")


def class_names_of(path: Path) -> list[str] | None:
    """Class names in file order, or None where no file names them.

    Raises:
        DataError: The names do not number the classes 0, 1, ..., or are no names.
    """
    page, file = _page(path)
    listed = page.get("names")
    if isinstance(listed, dict):
        listed = _in_order(file, listed)
    if not isinstance(listed, list):
        file = next((path / name for name in _LISTS if (path / name).is_file()), path)
        listed = lines_of(file) if file != path else []
    strange = [name for name in listed if not isinstance(name, str | int | float)]
    if strange:
        raise DataError(f"'{file}': the class name {reprlib.repr(strange[0])} is no text.")
    names = [str(name) for name in listed]
    count = page.get("nc")
    if names and isinstance(count, int) and count != len(names):
        named = counted(len(names), "class")
        raise DataError(f"'{file}' says nc: {count} but names {named}; correct one.")
    require_distinct(path, names)
    return names or None


def _in_order(file: Path, names: dict[Any, Any]) -> list[Any]:
    by_number = {int(key): name for key, name in names.items() if str(key).isdecimal()}
    if sorted(by_number) != list(range(len(names))):
        keys = ", ".join(map(str, names))
        raise DataError(
            f"'{file}' numbers its classes {keys:.80}: expected 0, 1, ... to {len(names) - 1}, as "
            "label files count them; correct `names:`."
        )
    return [by_number[number] for number in range(len(names))]


def listed_splits(path: Path) -> dict[str, list[Path]]:
    """Image files by split as data.yaml lists them; entries that do not exist are left out."""
    page, _ = _page(path)
    base = page.get("path")
    bases = [path / base] if isinstance(base, str) else []
    found = {}
    for split, entry in page.items():
        if not isinstance(split, str) or split in _NO_SPLITS:
            continue
        files: list[Path] = []
        for name in entry if isinstance(entry, list) else [entry]:
            if isinstance(name, str):
                files += _files_of(name, [*bases, path])
        if files:
            found[split] = sorted(set(files))
    return found


def _page(path: Path) -> tuple[dict[Any, Any], Path]:
    """What the page says, empty where there is none, and its file."""
    for name in _PAGES:
        file = path / name
        if file.is_file():
            try:
                page = yaml.safe_load(file.read_text(encoding="utf-8-sig"))
            except (yaml.YAMLError, ValueError, OSError, RecursionError) as error:
                raise DataError(f"'{file}' cannot be read as YAML ({error}).") from error
            return (page if isinstance(page, dict) else {}), file
    return {}, path


def _files_of(entry: str, bases: list[Path]) -> list[Path]:
    """The images of an entry: a folder, or a text file that lists images."""
    # Exports write `../train/images` though the folder lies beside data.yaml.
    bare = entry
    while bare.startswith("../"):
        bare = bare.removeprefix("../")
    for base in bases:
        for place in (base / entry, base / bare):
            if place.is_dir():
                return image_files(place)
            if place.is_file() and place.suffix == ".txt":
                return [base / name for name in lines_of(place) if is_image(Path(name))]
    return []
