"""What the data.yaml or classes.txt of a YOLO folder says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from detkit.data.images import is_image
from detkit.data.readers.folders import image_files, require_distinct
from detkit.errors import DataError

_PAGES = ("data.yaml", "data.yml", "dataset.yaml", "dataset.yml")
_LISTS = ("classes.txt", "obj.names", "labels/classes.txt")
_SPLITS = ("train", "val", "test")


def class_names_of(path: Path) -> list[str] | None:
    """Class names in file order, or None where no file names them."""
    listed = _page(path).get("names")
    if isinstance(listed, dict):
        listed = [listed[key] for key in sorted(listed, key=int)]
    if not isinstance(listed, list):
        file = next((path / name for name in _LISTS if (path / name).is_file()), None)
        lines = file.read_text(encoding="utf-8").splitlines() if file is not None else []
        listed = [line.strip() for line in lines if line.strip()]
    names = [str(name) for name in listed]
    require_distinct(path, names)
    return names or None


def listed_splits(path: Path) -> dict[str, list[Path]]:
    """Image files by split as data.yaml lists them; entries that do not exist are left out."""
    page = _page(path)
    base = page.get("path")
    bases = [path / base] if isinstance(base, str) else []
    found = {}
    for split in _SPLITS:
        entries = page.get(split)
        files: list[Path] = []
        for entry in entries if isinstance(entries, list) else [entries]:
            if isinstance(entry, str):
                files += _files_of(entry, [*bases, path])
        if files:
            found[split] = sorted(set(files))
    return found


def _page(path: Path) -> dict[str, Any]:
    for name in _PAGES:
        if (path / name).is_file():
            try:
                page = yaml.safe_load((path / name).read_text(encoding="utf-8"))
            except (yaml.YAMLError, UnicodeDecodeError) as error:
                raise DataError(f"'{path / name}' cannot be read as YAML ({error}).") from error
            return page if isinstance(page, dict) else {}
    return {}


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
                names = [line.strip() for line in place.read_text().splitlines() if line.strip()]
                return [base / name for name in names if is_image(Path(name))]
    return []
