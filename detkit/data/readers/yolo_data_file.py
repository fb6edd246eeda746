"""The file that describes a YOLO data set: data.yaml, or the obj.data of Darknet."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import yaml

from detkit.data.readers.folder_checks import files_with_suffix, lines_of, subfolders
from detkit.data.splits import role_of
from detkit.errors import DataError, nearest

LOGGER = logging.getLogger("detkit.data")
_USUAL = ("data.yaml", "data.yml", "dataset.yaml", "dataset.yml")
# What else a page says; every other key whose value leads to images is a split.
_NO_SPLITS = {
    *("path", "names", "nc", "classes", "download", "channels", "kpt_shape", "flip_idx"),
    *("kpt_names", "roboflow", "backup", "eval"),
}
_DIMENSIONS = (2, 3)  # x, y, and optionally visibility


@dataclass(frozen=True)
class YoloPage:
    """The content of data.yaml or obj.data.

    Attributes:
        file: The file itself; None if there is none.
        names: The raw value of `names:`: a list, a mapping from numbers, a file, or None.
        class_count: `nc:` or `classes=`, or None.
        base: `path:`, the folder that entries are relative to.
        entries: The folders and lists of each split; empty for a blank entry.
        key_points: `kpt_shape:`, the number of key points and of values per key point, or None.
    """

    file: Path | None = None
    names: Any = None
    class_count: int | None = None
    base: str | None = None
    entries: dict[str, list[str]] = field(default_factory=dict)
    key_points: tuple[int, int] | None = None

    @property
    def declared(self) -> list[str]:
        """The entries that must lead to images: names of splits, or names close to one.

        A blank `test:` does not count, as templates contain one.
        """
        roles = {role for split in self.entries if (role := role_of(split))}
        missing = {"train", "val"} - roles
        return [
            split
            for split, names in self.entries.items()
            if (role_of(split) and (names or role_of(split) != "test"))
            or (nearest(split, missing) and any("/" in name or "\\" in name for name in names))
        ]


class _TextLoader(yaml.BaseLoader):
    """Reads every value as text, so that `on`, `01` and `1.10` stay unchanged."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        twice = sorted({str(key) for key in keys if keys.count(key) > 1})
        if twice:
            message = f"it has the key {', '.join(twice)} twice"
            raise yaml.constructor.ConstructorError(None, None, message, node.start_mark)
        return super().construct_mapping(node, deep)


def read_page(path: Path) -> YoloPage:
    """The page of a folder, whatever its name; empty if there is none.

    Raises:
        DataError: It cannot be read.
    """
    page = next(_yaml_pages(path), None)
    if page is not None:
        return page
    for file in files_with_suffix(path, ".data"):
        values = dict(_setting(line) for line in lines_of(file) if "=" in line)
        if "names" in values or "train" in values:
            return _page_of(file, values)
    return YoloPage()


def _yaml_pages(path: Path) -> Iterator[YoloPage]:
    """The pages among the YAML files of a folder, those with a usual name first."""
    usual = [path / name for name in _USUAL if (path / name).is_file()]
    unusual = [*files_with_suffix(path, ".yaml"), *files_with_suffix(path, ".yml")]
    for file in dict.fromkeys([*usual, *unusual]):
        values = _read_yaml(file, is_usual=file in usual)
        if file in usual or "names" in values or {"train", "val"} <= values.keys():
            yield _page_of(file, values)


def report_other_pages(path: Path) -> None:
    """Log which of several YAML files is read, if they differ.

    Raises:
        DataError: None of them has a usual name.
    """
    first, *further = [*_yaml_pages(path)] or [YoloPage()]
    differing = [page for page in further if replace(page, file=first.file) != first]
    if first.file is None or not differing:
        return
    names = ", ".join(page.file.name for page in differing if page.file is not None)
    if first.file.name not in _USUAL:
        raise DataError(
            f"'{path}' has several files that describe a YOLO data set, and they differ: "
            f"{first.file.name}, {names}. Rename the right one to data.yaml."
        )
    LOGGER.info(
        "%s: reading %s because of its usual name, not %s, which differs; to read another file, "
        "rename it to data.yaml",
        path,
        first.file.name,
        names,
    )


def page_below(path: Path) -> Path | None:
    """The page of a sub-folder that declares splits, if the folder itself has no page."""
    if read_page(path).file is not None:
        return None
    for folder in subfolders(path):
        page = read_page(folder)
        if page.declared:
            return page.file
    return None


def require_page_here(path: Path) -> None:
    """Raise DataError if the page is in a sub-folder, where its splits would be ignored."""
    file = page_below(path)
    if file is not None:
        raise DataError(
            f"'{path}' has no data.yaml or obj.data, but there is '{file}': set data.path to "
            f"'{file.parent}'."
        )


def _read_yaml(file: Path, *, is_usual: bool) -> dict[str, Any]:
    try:
        page = yaml.load(file.read_text(encoding="utf-8-sig"), Loader=_TextLoader)
    except (yaml.YAMLError, ValueError, OSError, RecursionError) as error:
        if not is_usual:  # an unrelated YAML file
            return {}
        raise DataError(f"'{file}'{_yaml_problem(error)}") from error
    return page if isinstance(page, dict) else {}


def _yaml_problem(error: Exception) -> str:
    """Describe the fault of a YAML file and its remedy, to follow the file name in a message."""
    if isinstance(error, UnicodeDecodeError):
        return " is not UTF-8 text: save it as UTF-8."
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        return f" line {error.problem_mark.line + 1} is no valid YAML: {error.problem}. Correct it."
    return f" cannot be read as YAML: {' '.join(str(error).split())}. Correct it."


def _setting(line: str) -> tuple[str, str]:
    key, _, value = line.partition("#")[0].partition("=")
    return key.strip(), value.strip()


def _page_of(file: Path, values: dict[Any, Any]) -> YoloPage:
    count = values.get("nc", values.get("classes"))
    base = values.get("path")
    return YoloPage(
        file=file,
        names=values.get("names"),
        class_count=int(count) if isinstance(count, str) and count.isdecimal() else None,
        base=base if isinstance(base, str) and base else None,
        entries={
            key: _texts(value)
            for key, value in values.items()
            if isinstance(key, str) and key not in _NO_SPLITS
        },
        key_points=_key_points(file, values.get("kpt_shape")),
    )


def _texts(value: Any) -> list[str]:
    """The non-empty texts of an entry; null and ~ count as empty."""
    values = value if isinstance(value, list) else [value]
    texts = [text.strip() for text in values if isinstance(text, str)]
    return [text for text in texts if text and text.lower() not in ("null", "~")]


def _key_points(file: Path, value: Any) -> tuple[int, int] | None:
    if value is None or not _texts(value):
        return None
    numbers = [int(text) for text in _texts(value) if text.isdecimal()]
    if len(numbers) != len(_DIMENSIONS) or numbers[1] not in _DIMENSIONS:
        raise DataError(
            f"'{file}': kpt_shape is {value}; expected [number of key points, 2 or 3], such as "
            "[17, 3]."
        )
    return numbers[0], numbers[1]
