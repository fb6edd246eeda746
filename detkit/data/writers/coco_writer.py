"""COCO: annotations/instances_<split>.json beside images/."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from detkit.data.writers.conversion_input import UNDIVIDED, Material, Picture

IMAGES = "images"


def image_place(picture: Picture) -> str:
    """Path of an image in the data set; one folder for all, since splits may share images."""
    return f"{IMAGES}/{picture.name}"


def write(folder: Path, material: Material) -> None:
    """Write the annotation files; an undivided data set gets annotations.json."""
    for split, pictures in material.splits.items():
        file = folder / "annotations" / f"instances_{split}.json"
        if split == UNDIVIDED:
            file = folder / "annotations.json"
        file.parent.mkdir(exist_ok=True)
        with file.open("w", encoding="utf-8") as stream:
            # one entry a line, written as it comes: a large data set does not fit twice in memory
            stream.write('{"info": {"description": "written by detkit data convert"},\n')
            stream.write('"licenses": [],\n"images": [')
            _write_entries(stream, (_image(number, picture) for number, picture in pictures))
            stream.write('],\n"annotations": [')
            _write_entries(stream, _annotations(pictures, material.category_ids))
            stream.write('],\n"categories": [')
            named = zip(material.category_ids, material.class_names, strict=True)
            _write_entries(
                stream, ({"id": n, "name": name, "supercategory": ""} for n, name in named)
            )
            stream.write("]}\n")


def _write_entries(stream: Any, entries: Iterator[dict[str, Any]]) -> None:
    for number, entry in enumerate(entries):
        stream.write((",\n" if number else "\n") + json.dumps(entry, allow_nan=False))


def _image(number: int, picture: Picture) -> dict[str, Any]:
    height, width = picture.size
    return {"id": number, "file_name": picture.name, "width": width, "height": height}


def _annotations(
    pictures: list[tuple[int, Picture]], category_ids: list[int]
) -> Iterator[dict[str, Any]]:
    annotation_id = 0
    for image_id, picture in pictures:
        rows = zip(picture.boxes.tolist(), picture.labels.tolist(), strict=True)
        for row, ((x1, y1, x2, y2), label) in enumerate(rows):
            annotation_id += 1  # from 1: pycocotools takes 0 for "no match"
            area = float(picture.areas[row])
            yield {
                "id": annotation_id,
                "image_id": image_id,
                "category_id": category_ids[label],
                # float32 corners differ exactly in Python's floats, so reading gives them back
                "bbox": [_short(value) for value in (x1, y1, x2 - x1, y2 - y1)],
                "area": _short((x2 - x1) * (y2 - y1) if math.isnan(area) else area),
                "iscrowd": int(picture.ignored[row]),
                "segmentation": [],
            }


def _short(value: float) -> float | int:
    return int(value) if value.is_integer() else value
