"""Sentences about content that the target format cannot store."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from detkit.data.readers.voc_xml import Marks
from detkit.data.writers import voc_writer, yolo_writer
from detkit.data.writers.conversion_input import UNDIVIDED, Material
from detkit.structures import DatasetIndex
from detkit.text import agree, counted

_COCO_PAGE = (
    "COCO's info, licenses, dates and addresses of images, supercategories and annotation ids"
)
_AREA_TOLERANCE = 1e-4  # relative; areas are float32


def losses(
    source: str,
    target: str,
    material: Material,
    indices: Mapping[str, DatasetIndex],
    *,
    keep_ignored: bool,
) -> list[str]:
    """Sentences about content of the source that is missing or changed in the new data set."""
    lines = [*_unused(source, target, material, indices), *_renamed(material)]
    if source == "coco":
        lines.append(f"{_COCO_PAGE} are not kept")
        if target != "coco":
            lines.append("ids of images and categories are not kept")
            lines += _areas(material)
    return lines + _ignored(source, target, material, keep_ignored) + _of_target(target, material)


def _unused(
    source: str, target: str, material: Material, indices: Mapping[str, DatasetIndex]
) -> list[str]:
    has_marks = all(len(picture.marks) == len(picture.labels) for picture in material.pictures)
    written_marks = Marks._fields if target == "voc" and has_marks else ()
    names = sorted({name for index in indices.values() for name in index.unused} - {*written_marks})
    if not names:
        return []
    owner = {"coco": "of annotations", "yolo": "of labels"}.get(source, "of objects")
    boxes = " (their bounding boxes are)" if "polygons" in names else ""
    return [f"values {owner} that boxes have no place for are not kept: {', '.join(names)}{boxes}"]


def _renamed(material: Material) -> list[str]:
    changed = [p for p in material.pictures if p.name != p.path.name]
    if not changed:
        return []
    examples = ", ".join(f"{p.path.name!r} is {p.name!r}" for p in changed[:3])
    return [f"{counted(len(changed), 'image')} renamed, so that names differ: {examples}"]


def _areas(material: Material) -> list[str]:
    count = 0
    for picture in material.pictures:
        sides = picture.boxes[:, 2:] - picture.boxes[:, :2]
        for area, whole in zip(picture.areas.tolist(), sides.prod(axis=1).tolist(), strict=True):
            count += math.isfinite(area) and abs(area - whole) > _AREA_TOLERANCE * whole
    if not count:
        return []
    return [
        f"areas of {counted(count, 'object')} that differ from their boxes' are not kept, by which "
        "COCO sorts objects into small, medium and large"
    ]


def _ignored(source: str, target: str, material: Material, keep: bool) -> list[str]:
    count = sum(int(picture.ignored.sum()) for picture in material.pictures)
    kind = {"coco": "crowd", "voc": "difficult"}.get(source, "ignored")
    if not count or (source == target != "yolo"):
        return []
    objects = counted(count, f"{kind} object")
    mark = f"YOLO has no mark for {agree(count, 'it', 'them')}"
    if target == "yolo" and keep:
        return [f"{objects} written like any other: {mark}"]
    if target == "yolo":
        return [f"{objects} left out: {mark} (ignored=keep writes them like any other)"]
    if target == "coco":
        return [
            f"{objects} written as iscrowd=1: neither counts against a detector, but a crowd may "
            "be found several times"
        ]
    return [f"{objects} written as difficult=1: neither counts, but a difficult object is single"]


def _of_target(target: str, material: Material) -> list[str]:
    if target == "voc":
        boxes = [box for picture in material.pictures for box in picture.boxes.tolist()]
        rough = sum(not voc_writer.is_whole(box) for box in boxes)
        if rough:
            return [
                f"{rough:,} of {counted(len(boxes), 'box')} written with fractions of a "
                "pixel, which VOC's whole numbers cannot represent: detkit reads them exactly, the "
                "VOC devkit rounds"
            ]
    return _of_yolo(material) if target == "yolo" else []


def _of_yolo(material: Material) -> list[str]:
    """Renamed splits, and what Ultralytics cannot use."""
    splits = list(material.splits)
    keys = {split: yolo_writer.key_of(split, splits) for split in splits if split != UNDIVIDED}
    lines = [f"the split '{s}' is called '{key}'" for s, key in keys.items() if s != key]
    missing = [key for key in ("train", "val") if key not in keys.values()]
    if missing:
        lines.append(
            f"data.yaml has no `{'` and no `'.join(missing)}`, which Ultralytics requires: convert "
            f"with split={next(iter(keys), '')}{',' * bool(keys)}0.8 to divide the images"
        )
    suffixes = Counter(Path(picture.name).suffix.lower() for picture in material.pictures)
    readable = yolo_writer.READ_BY_ULTRALYTICS
    unread = {suffix: n for suffix, n in suffixes.items() if suffix not in readable}
    if unread:
        names = ", ".join(suffix or "without suffix" for suffix in unread)
        lines.append(
            f"{counted(sum(unread.values()), 'image')} ({names}) that Ultralytics ignores: "
            "save them as .jpg or .png"
        )
    return lines
