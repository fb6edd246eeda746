"""CVAT for images 1.1: one XML file for many images."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import parse

from detkit.data.readers.annotation_kinds import root_tag, start_of
from detkit.data.readers.folder_checks import relative_name
from detkit.data.readers.globox_reading import (
    GloboxReader,
    boxed,
    distinct_splits,
    globox,
    split_of_file,
)
from detkit.data.readers.image_entries import WHOLE, ImageEntry, ObjectEntry
from detkit.errors import DataError
from detkit.image_files import files_below
from detkit.registry import register

_ENTRY = re.compile(rb"<(image|track)[\s/>]")
_CORNERS = ("xtl", "ytl", "xbr", "ybr")
_UNSUPPORTED = ("polyline", "points", "skeleton", "cuboid")  # shapes that give no box
_MARKS = ("occluded", "group_id")
_ROTATION = "rotation"


def fits(path: Path) -> bool:
    """Whether a folder holds a CVAT file."""
    return bool(find_files(path))


def count(path: Path) -> int:
    """Count the images in the CVAT files of a folder; 0 if they cannot be read."""
    try:
        return len(CvatReader().entries(path)[0])
    except DataError:
        return 0


def find_files(path: Path) -> list[Path]:
    """The CVAT files below a folder, recognised by their root element."""
    return [file for file in sorted(files_below(path, (".xml",))) if _is_cvat(file)]


def _is_cvat(file: Path) -> bool:
    return root_tag(file) == "annotations" and _ENTRY.search(start_of(file)) is not None


@register("reader", "cvat")
class CvatReader(GloboxReader):
    """XML files of "CVAT for images 1.1", as globox reads them.

    Rotated boxes, polygons, ellipses and masks become the box around them; points and lines are
    left out. Splits are CVAT's subsets, or come from the names of files and folders. Needs `pip
    install "detkit[formats]"`.
    """

    expected = "CVAT file: looked for *.xml with the root <annotations> and images in it"
    annotation = "CVAT entry"

    def find_files(self, path: Path) -> list[Path]:
        """The CVAT files below a folder."""
        return find_files(path)

    def entries(self, path: Path) -> tuple[list[ImageEntry], list[tuple[str, str]]]:
        """The entries of all files.

        Raises:
            DataError: There is no file, one cannot be read, or it is a video.
        """
        return [entry for file in self.files(path) for entry in _entries_of(file, path)], []

    def splits(self, path: Path) -> list[str]:
        """The subsets, or the splits that the names of files and folders state."""
        return self.splits_of(path, self.entries(path)[0])

    def splits_of(self, path: Path, entries: Sequence[ImageEntry]) -> list[str]:
        """The splits of the entries."""
        return distinct_splits([entry.split for entry in entries])


def _entries_of(file: Path, root: Path) -> list[ImageEntry]:
    try:
        content = parse(file).getroot()
    except (ParseError, DefusedXmlException, ValueError, OSError) as error:
        raise DataError(f"'{file}' cannot be read as XML ({error}): export it again.") from error
    images = content.findall("image")
    if not images and content.find("track") is not None:
        raise DataError(
            f"'{file}' is a CVAT file of a video (tracks): export the task as \"CVAT for images "
            '1.1", which has an entry for each frame.'
        )
    name = relative_name(file, root)
    return [_entry(image, name, split_of_file(file, root)) for image in images]


def _entry(image: Element, file: str, split: str) -> ImageEntry:
    kinds = Counter(node.tag for node in image)
    unused = Counter({mark: _marked(image, mark) for mark in _MARKS})
    unused["attribute"] = len(list(image.iter("attribute")))
    unused.update({f"{kind} (only its box is used)": kinds[kind] for kind in _OUTLINES})
    unused[f"{_ROTATION} (the upright box around the object is used)"] = _marked(image, _ROTATION)
    subset = (image.get("subset") or "").strip()
    size = (int(image.get(side) or 0) for side in ("height", "width"))
    height, width = size
    return ImageEntry(
        source=f"{file}: {image.get('name')}",
        image=image.get("name") or "",
        split=subset if subset and subset.casefold() != "default" else split or WHOLE,
        size=(height, width),
        objects=[_object(node) for node in image if node.tag in ("box", *_OUTLINES)],
        unused=+unused,
        without_box=Counter({kind: kinds[kind] for kind in _UNSUPPORTED if kinds[kind]}),
    )


def _marked(image: Element, key: str) -> int:
    return sum(node.get(key, "0") not in ("0", "0.0", "") for node in image)


def _object(node: Element) -> ObjectEntry:
    name = (node.get("label") or "").strip()
    try:
        corners = _corners(node)
    except (KeyError, ValueError):
        return ObjectEntry(name, None, "no numbers")
    box = Element("box", {"label": name, **dict(zip(_CORNERS, map(str, corners), strict=True))})
    return boxed(lambda: globox().BoundingBox.from_cvat(box), name)


def _corners(node: Element) -> list[float]:
    """The corners (x1, y1, x2, y2) of the box around a shape."""
    if node.tag == "box":
        corners = [float(node.attrib[corner]) for corner in _CORNERS]
        return _around_rotated(corners, float(node.get(_ROTATION) or 0))
    points = _OUTLINES[node.tag](node)
    columns: Any = list(zip(*points, strict=True))
    return [*map(min, columns), *map(max, columns)]


def _around_rotated(corners: list[float], degrees: float) -> list[float]:
    """The bounding box of a box rotated about its centre."""
    if not degrees:
        return corners
    x1, y1, x2, y2 = corners
    cos, sin = abs(math.cos(math.radians(degrees))), abs(math.sin(math.radians(degrees)))
    width, height = x2 - x1, y2 - y1
    half_x, half_y = (width * cos + height * sin) / 2, (width * sin + height * cos) / 2
    x, y = (x1 + x2) / 2, (y1 + y2) / 2
    return [x - half_x, y - half_y, x + half_x, y + half_y]


def _polygon(node: Element) -> list[list[float]]:
    return [[float(v) for v in point.split(",")] for point in node.attrib["points"].split(";")]


def _ellipse(node: Element) -> list[list[float]]:
    x, y, rx, ry = (float(node.attrib[key]) for key in ("cx", "cy", "rx", "ry"))
    return [[x - rx, y - ry], [x + rx, y + ry]]


def _mask(node: Element) -> list[list[float]]:
    left, top, width, height = (float(node.attrib[k]) for k in ("left", "top", "width", "height"))
    return [[left, top], [left + width, top + height]]


_OUTLINES = {"polygon": _polygon, "ellipse": _ellipse, "mask": _mask}
