"""Pascal VOC: Annotations/*.xml, JPEGImages/ and ImageSets/Main/<split>.txt."""

from __future__ import annotations

from pathlib import Path
from xml.etree.ElementTree import Element, ElementTree, SubElement, indent

from detkit.data.readers.voc_reader import CLASS_LIST
from detkit.data.readers.voc_xml import NO_MARKS
from detkit.data.writers.conversion_input import UNDIVIDED, Material, Picture

IMAGES = "JPEGImages"
_CORNERS = ("xmin", "ymin", "xmax", "ymax")


def image_place(picture: Picture) -> str:
    """Path of an image in the data set."""
    return f"{IMAGES}/{picture.name}"


def write(folder: Path, material: Material) -> None:
    """Write XML files, the lists of the splits, and the class names, which VOC itself lacks.

    An undivided data set gets no lists.
    """
    annotations = folder / "Annotations"
    annotations.mkdir()
    for picture in material.pictures:
        file = annotations / f"{Path(picture.name).stem}.xml"
        tree = ElementTree(_page(picture, material.class_names))
        indent(tree)
        tree.write(file, encoding="utf-8", xml_declaration=True)
    lists = folder / "ImageSets" / "Main"
    for split, pictures in material.splits.items():
        if split != UNDIVIDED:
            lists.mkdir(parents=True, exist_ok=True)
            stems = (Path(picture.name).stem for _, picture in pictures)
            (lists / f"{split}.txt").write_text("".join(f"{s}\n" for s in stems), encoding="utf-8")
    names = "".join(f"{name}\n" for name in material.class_names)
    (folder / CLASS_LIST).write_text(names, encoding="utf-8")


def _page(picture: Picture, class_names: list[str]) -> Element:
    page = Element("annotation")
    SubElement(page, "folder").text = IMAGES
    SubElement(page, "filename").text = picture.name
    size = SubElement(page, "size")
    for key, length in zip(("height", "width", "depth"), (*picture.size, 3), strict=True):
        SubElement(size, key).text = str(length)
    SubElement(page, "segmented").text = "0"
    for row, box in enumerate(picture.boxes.tolist()):
        item = SubElement(page, "object")
        SubElement(item, "name").text = class_names[int(picture.labels[row])]
        marks = picture.marks[row] if picture.marks else NO_MARKS
        SubElement(item, "pose").text = marks.pose or "Unspecified"
        SubElement(item, "truncated").text = marks.truncated or "0"
        SubElement(item, "difficult").text = str(int(picture.ignored[row]))
        bounds = SubElement(item, "bndbox")
        for corner, text in zip(_CORNERS, corner_texts(box), strict=True):
            SubElement(bounds, corner).text = text
    return page


def corner_texts(box: list[float]) -> list[str]:
    """The corners as VOC writes them: 1-based, so that the first ones gain 1.

    Whole numbers if that loses nothing; otherwise all with a point, which tells the reader that
    they are continuous. So are boxes of one pixel or less, as xmin = xmax means a click without
    area in the files that people have.
    """
    x1, y1, x2, y2 = box
    corners = (x1 + 1, y1 + 1, x2, y2)
    if is_whole(box):
        return [str(int(corner)) for corner in corners]
    return [repr(float(corner)) for corner in corners]


def is_whole(box: list[float]) -> bool:
    """Whether VOC's own whole pixels say all of a box."""
    x1, y1, x2, y2 = box
    return all(value.is_integer() for value in box) and x2 - x1 > 1 and y2 - y1 > 1
