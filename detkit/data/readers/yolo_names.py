"""The class names of a YOLO data set."""

from __future__ import annotations

import reprlib  # YAML aliases can expand to more text than fits into memory
from pathlib import Path
from typing import Any

from detkit.data.readers.folder_checks import lines_of, require_distinct
from detkit.data.readers.yolo_data_file import YoloPage
from detkit.errors import DataError
from detkit.image_files import files_below
from detkit.text import counted

_LISTS = ("classes.txt", "obj.names", "_darknet.labels")


def class_names_of(path: Path, page: YoloPage) -> list[str] | None:
    """Class names in file order, or None if no file names them.

    Raises:
        DataError: The names do not number the classes 0, 1, ..., or are not text.
    """
    names = page.names
    file = page.file or path
    if isinstance(names, str) and names.strip():
        file = _named_file(path, file, names)
        names = _names_in(file)
    elif isinstance(names, dict):
        names = _in_order(file, names)
    elif not isinstance(names, list):
        file, names = _listed_names(path)
    for number, name in enumerate(names):
        if not isinstance(name, str):
            raise DataError(f"'{file}': the class name {reprlib.repr(name)} is not text.")
        if not name.strip():
            raise DataError(f"'{file}': class {number} has no name; write one in `names:`.")
    names = [name.strip() for name in names]
    count = page.class_count
    if names and count is not None and count != len(names):
        named = counted(len(names), "class")
        key = "nc" if page.file is not None and page.file.suffix != ".data" else "classes"
        raise DataError(f"'{page.file}' says {key}: {count} but names {named}; correct one.")
    require_distinct(path, names)
    return names or None


def _in_order(file: Path, names: dict[Any, Any]) -> list[Any]:
    by_number = {int(key): name for key, name in names.items() if str(key).isdecimal()}
    if sorted(by_number) != list(range(len(names))):
        keys = ", ".join(map(str, names))
        raise DataError(
            f"'{file}' numbers its classes {keys:.80}: expected 0, 1, ... to {len(names) - 1}, as "
            "in label files; correct `names:`."
        )
    return [by_number[number] for number in range(len(names))]


def _named_file(path: Path, file: Path, name: str) -> Path:
    """The file that `names:` points to, even if its path is from another machine."""
    parts = Path(name.replace("\\", "/")).parts
    endings = [path.joinpath(*parts[start:]) for start in range(len(parts))]
    match = next((ending for ending in endings if ending.is_file()), None)
    if match is None:
        raise DataError(
            f"'{file}': names is '{name}', which is neither a list nor a file below '{path}': "
            "write names: [cat, dog], or name a file with one class on each line."
        )
    return match


def _listed_names(path: Path) -> tuple[Path, list[str]]:
    """The names in a list beside the data; lists in sub-folders must agree."""
    file = next((path / name for name in _LISTS if (path / name).is_file()), None)
    if file is not None:
        return file, _names_in(file)
    files = files_below(path, (*_LISTS, ".names"))  # quickly, as there may be 100,000 images
    lists = [file for file in files if _is_name_list(path, file)]
    contents = {file: _names_in(file) for file in sorted(lists)}
    if not contents:
        return path, []
    first, *further = contents
    for other in further:
        if contents[other] != contents[first]:
            raise DataError(
                f"'{first}' and '{other}' name different classes: keep one of them, in '{path}'."
            )
    return first, contents[first]


def _is_name_list(path: Path, file: Path) -> bool:
    return file.name in _LISTS or (file.suffix == ".names" and file.parent == path)


def _names_in(file: Path) -> list[str]:
    """The lines of a list of names.

    Raises:
        DataError: There is a blank line between names; it is unclear whether it counts.
    """
    text = "\n".join(lines_of(file))  # raises DataError if it is not text
    lines = file.read_text(encoding="utf-8-sig").rstrip().split("\n")
    blank = next((number for number, line in enumerate(lines, 1) if text and not line.strip()), 0)
    if blank:
        raise DataError(
            f"'{file}' line {blank} is blank, which makes the numbers of the following classes "
            "unclear; delete the line or name the class."
        )
    return lines_of(file)
