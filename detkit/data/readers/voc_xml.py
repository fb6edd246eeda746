"""One XML file of Pascal VOC."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import parse

from detkit.data.readers.boolean_flags import is_true

_CORNERS = ("xmin", "ymin", "xmax", "ymax")
_USED = ("name", "bndbox", "difficult")


class UnreadablePageError(Exception):
    """A file that cannot be read as an annotation; says why in a few words."""


class Marks(NamedTuple):
    """VOC's flags of an object that detection does not use; empty if they are missing."""

    pose: str = ""
    truncated: str = ""


NO_MARKS = Marks()


@dataclass(frozen=True)
class PageObject:
    """An object, and the reason if it cannot be used."""

    name: str
    box: tuple[float, float, float, float]
    difficult: bool
    problem: str | None = None
    marks: Marks = NO_MARKS


@dataclass(frozen=True)
class Page:
    """One annotated image.

    Attributes:
        file_name: What <filename> says; may be empty or wrong.
        size: Annotated (height, width), zeros if they are missing or not numbers.
        objects: Its objects in the order of the file.
        unused: How many objects have each value that detkit has no use for ("truncated").
    """

    file_name: str
    size: tuple[int, int]
    objects: list[PageObject]
    unused: Counter[str] = field(default_factory=Counter)


def read_page(file: Path) -> Page:
    """The annotation in a file; entities are refused, so that none can expand without end.

    Raises:
        UnreadablePageError: It is no XML, cut short, holds entities, or is of another kind.
    """
    try:
        root = parse(file).getroot()
    except DefusedXmlException as error:
        raise UnreadablePageError("it declares entities, which are refused") from error
    except (ParseError, OSError, ValueError, LookupError) as error:
        reason = "empty file" if file.is_file() and not file.stat().st_size else str(error)
        raise UnreadablePageError(reason) from error
    if root.tag != "annotation":
        raise UnreadablePageError(f"its root is <{root.tag}>, not <annotation>")
    lengths = (_number(root, "size/height"), _number(root, "size/width"))
    height, width = (int(n) if n is not None and math.isfinite(n) else 0 for n in lengths)
    elements = root.findall("object")
    unused = Counter(
        child.tag for element in elements for child in element if _has_unused_value(child)
    )
    objects = [_read_object(element) for element in elements]
    return Page((root.findtext("filename") or "").strip(), (height, width), objects, unused)


def _has_unused_value(child: Element) -> bool:
    text = (child.text or "").strip()
    return child.tag not in _USED and (len(child) > 0 or text not in ("", "0", "Unspecified"))


def _read_object(element: Element) -> PageObject:
    name = (element.findtext("name") or "").strip()
    difficult = is_true(element.findtext("difficult") or "")
    marks = Marks(*((element.findtext(key) or "").strip() for key in Marks._fields))
    numbers = [_number(element, f"bndbox/{corner}") for corner in _CORNERS]
    corners = [value for value in numbers if value is not None]
    if len(corners) < len(_CORNERS):
        some = element.find("bndbox") is not None
        problem = f"{', '.join(_CORNERS)} are not all numbers" if some else "without bndbox"
        return PageObject(name, (0.0, 0.0, 0.0, 0.0), difficult, problem)
    x1, y1, x2, y2 = corners
    # Tools write a click as xmin = xmax. Read as inclusive pixels it would be one pixel wide, so
    # whole numbers are tested for area unchanged; numbers with a decimal point are continuous.
    continuous = any("." in (element.findtext(f"bndbox/{corner}") or "") for corner in _CORNERS)
    shift = 1.0 if continuous or (x2 > x1 and y2 > y1) else 0.0
    box = (x1 - shift, y1 - shift, x2, y2)
    return PageObject(name, box, difficult, None if name else "without a name", marks)


def _number(element: Element, name: str) -> float | None:
    """The number in a child element, or None if it is missing or not a number."""
    try:
        return float(element.findtext(name) or "")
    except ValueError:
        return None
