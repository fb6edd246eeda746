"""Labelme: a JSON file for each image."""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from pathlib import Path
from typing import Any

from detkit.data.readers.folder_checks import relative_name
from detkit.data.readers.globox_reading import GloboxReader, boxed, globox, split_of_file
from detkit.data.readers.image_entries import ImageEntry, ObjectEntry
from detkit.image_files import files_below
from detkit.registry import register

_SHAPES = re.compile(rb'"shapes"\s*:\s*\[')
_HEAD = 2**16  # bytes; `shapes` precedes the image that older versions embed
_OUTLINES = ("polygon", "circle", "mask")
_BOXED = ("rectangle", *_OUTLINES)
_USED = {"label", "points", "shape_type"}
_EMPTY: tuple[Any, ...] = (None, {}, [], "", False)


def fits(path: Path) -> bool:
    """Whether a folder holds Labelme files."""
    return any(_is_labelme(file) for file in files_below(path, (".json",)))


def count(path: Path) -> int:
    """Count the images of a folder with a Labelme file."""
    return len(find_files(path))


def find_files(path: Path) -> list[Path]:
    """The Labelme files below a folder, recognised by their content."""
    return [file for file in sorted(files_below(path, (".json",))) if _is_labelme(file)]


def _is_labelme(file: Path) -> bool:
    try:
        with file.open("rb") as stream:
            return _SHAPES.search(stream.read(_HEAD)) is not None
    except OSError:
        return False


@register("reader", "labelme")
class LabelmeReader(GloboxReader):
    """Labelme's JSON files, anywhere in the folder, as globox reads them.

    Rectangles are boxes; polygons, circles and masks become the box around them; points and lines
    are left out. Splits are folders named train, val and so on, if there are any. Images
    without a JSON file are not used: Labelme writes none until an image is annotated. Needs
    `pip install "detkit[formats]"`.
    """

    expected = "Labelme file: looked for *.json with a list `shapes`"
    annotation = "Labelme file"

    def find_files(self, path: Path) -> list[Path]:
        """The Labelme files below a folder."""
        return find_files(path)

    def entries(self, path: Path) -> tuple[list[ImageEntry], list[tuple[str, str]]]:
        """The entry of each file."""
        entries, unreadable = [], []
        for file in self.files(path):
            try:
                entries.append(_entry(file, path))
            except (OSError, ValueError, KeyError, TypeError) as error:
                unreadable.append((relative_name(file, path), str(error) or type(error).__name__))
        return entries, unreadable


def _entry(file: Path, root: Path) -> ImageEntry:
    content = json.loads(file.read_text(encoding="utf-8-sig"))
    shapes = content["shapes"]
    size = (int(content.get("imageHeight") or 0), int(content.get("imageWidth") or 0))
    kinds = Counter(_kind(shape) for shape in shapes)
    unused = Counter(
        key
        for shape in shapes
        for key, value in shape.items()
        if key not in _USED and value not in _EMPTY
    )
    unused.update({f"{kind} (only its box is used)": kinds[kind] for kind in _OUTLINES})
    return ImageEntry(
        source=relative_name(file, root),
        image=str(content.get("imagePath") or f"{file.stem}.jpg"),
        folder=relative_name(file.parent, root),
        split=split_of_file(file, root),
        size=size,
        objects=[_object(shape) for shape in shapes if _kind(shape) in _BOXED],
        unused=+unused,
        without_box=Counter({kind: n for kind, n in kinds.items() if kind not in _BOXED}),
    )


def _kind(shape: dict[str, Any]) -> str:
    return str(shape.get("shape_type") or "polygon")  # early versions omit shape_type for polygons


def _object(shape: dict[str, Any]) -> ObjectEntry:
    kind, name = _kind(shape), str(shape.get("label") or "").strip()
    shape = {**shape, "label": name}
    if kind == "circle":
        (x, y), (edge_x, edge_y) = shape["points"]
        radius = math.hypot(edge_x - x, edge_y - y)
        shape = {**shape, "points": [[x - radius, y - radius], [x + radius, y + radius]]}
    return boxed(lambda: globox().BoundingBox.from_labelme(shape), name)
