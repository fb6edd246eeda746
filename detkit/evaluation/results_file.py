"""Detections as rows of a COCO results file."""

from __future__ import annotations

import json
import math
import reprlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from detkit.errors import DataError
from detkit.structures import DetectionArrays

if TYPE_CHECKING:  # exported detectors write rows without torch
    from detkit.structures import Detections
    from detkit.structures.masks import Masks

MaskFormat = Literal["rle", "polygons"]
POLYGON_TOLERANCE = 0.5  # pixels by which a border may move
_WRAPPERS = ("annotations", "predictions", "detections", "results")  # keys that hold the list
_NEEDED = "each row needs image_id or file_name, category_id, bbox (x, y, width, height) and score"
_BOX = 4


class Row(NamedTuple):
    """One detection of a results file.

    Attributes:
        image: Its image_id, a number or a text, or None.
        file_name: Its file_name, or None.
        category: Its category_id, a number or a class name.
        box: (x1, y1, x2, y2).
        score: Its score.
        segmentation: Its mask as COCO writes it; None for a box alone.
    """

    image: int | str | None
    file_name: str | None
    category: int | str
    box: tuple[float, float, float, float]
    score: float
    segmentation: Any = None


def result_rows(
    image_id: int,
    detections: Detections | DetectionArrays,
    category_ids: Sequence[int],
    file_name: str | None = None,
    *,
    mask_format: MaskFormat = "rle",
) -> list[dict[str, Any]]:
    """An image's detections as COCO results: category ids of the data set, boxes as xywh.

    With masks, each row has a `segmentation`.

    Numbers are not rounded, so that pycocotools computes from the file what the metric computes.

    Args:
        image_id: The data set's id of the image.
        detections: What was found, in original coordinates.
        category_ids: The data set's id of each label.
        file_name: The file of the image, written beside its id if given.
        mask_format: `rle` for COCO's runs of pixels, `polygons` for lists of x1, y1, ...
    """
    source: dict[str, Any] = {"image_id": image_id}
    if file_name is not None:
        source["file_name"] = file_name
    rows = []
    for box, score, label in zip(*(value.tolist() for value in detections), strict=True):
        x1, y1, x2, y2 = box
        xywh = [x1, y1, x2 - x1, y2 - y1]
        rows.append({**source, "category_id": category_ids[label], "bbox": xywh, "score": score})
    if detections.masks is None:
        return rows
    masks = segmentations(detections.masks, len(rows), mask_format)
    return [{**row, "segmentation": mask} for row, mask in zip(rows, masks, strict=True)]


def segmentations(masks: Masks, count: int, mask_format: MaskFormat) -> list[Any]:
    """The masks of detections as COCO stores them; see `result_rows`."""
    if mask_format == "rle":
        return masks.encoded().rle()
    polygons = [masks.window(position).polygons(POLYGON_TOLERANCE) for position in range(count)]
    return [[polygon.ravel().tolist() for polygon in of_object] for of_object in polygons]


def write_rows(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    """Write rows as a JSON list with a line for each."""
    lines = ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    path.write_text(f"[\n{lines}\n]\n" if lines else "[]\n", encoding="utf-8")


def write_results(
    path: Path, results: Iterable[tuple[int, Detections]], category_ids: Sequence[int]
) -> None:
    """Write the detections of many images, each with its id, to a COCO results file."""
    write_rows(
        path,
        (row for image, boxes in results for row in result_rows(image, boxes, category_ids)),
    )


def read_rows(path: Path) -> list[Row]:
    """Read the rows of a results file: a list, or an object with a list under a usual key.

    Raises:
        DataError: The file is not a list of detections; the message names the row.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError as error:
        raise DataError(f"{path}: there is no such file.") from error
    except IsADirectoryError as error:
        raise DataError(f"{path}: is a folder; name the JSON file of detections in it.") from error
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(
            f"{path}: cannot be read as JSON: {error}. Expected a list of detections: {_NEEDED}."
        ) from error
    return [_row(path, number, row) for number, row in enumerate(_list(path, content), start=1)]


def _list(path: Path, content: Any) -> list[Any]:
    if isinstance(content, dict):
        lists = [key for key in _WRAPPERS if isinstance(content.get(key), list)]
        if len(lists) == 1:
            content = content[lists[0]]
        else:
            holds = f"the lists {', '.join(lists)}" if lists else f"the keys {_keys(content)}"
            raise DataError(
                f"{path}: holds an object with {holds}; expected a list of detections, or an "
                f"object with one of {', '.join(_WRAPPERS)}."
            )
    if not isinstance(content, list):
        raise DataError(
            f"{path}: holds {reprlib.repr(content)}; expected a list of detections: {_NEEDED}."
        )
    return content


def _keys(content: dict[str, Any]) -> str:
    return ", ".join(list(content)[:8]) or "none"


def _row(path: Path, number: int, row: Any) -> Row:
    if not isinstance(row, dict):
        raise DataError(f"{path}: row {number} is {reprlib.repr(row)}, no object: {_NEEDED}.")
    missing = [key for key in ("category_id", "bbox", "score") if row.get(key) is None]
    if row.get("image_id") is None and not isinstance(row.get("file_name"), str):
        missing.insert(0, "image_id")
    if missing:
        truth = " Is it a file of annotations?" if missing == ["score"] else ""
        raise DataError(f"{path}: row {number} has no {', '.join(missing)}: {_NEEDED}.{truth}")
    try:
        x, y, width, height = map(float, row["bbox"])
        score = float(row["score"])
    except (TypeError, ValueError) as error:
        raise DataError(
            f"{path}: row {number} has bbox {reprlib.repr(row['bbox'])} and score "
            f"{reprlib.repr(row['score'])}; expected {_BOX} numbers and a number."
        ) from error
    if not all(map(math.isfinite, (x, y, width, height, score))):
        raise DataError(f"{path}: row {number} has a bbox or a score that is not finite.")
    name = row.get("file_name")
    return Row(
        _number_or_text(row.get("image_id")),
        name if isinstance(name, str) and name else None,
        _number_or_text(row["category_id"]) or 0,
        (x, y, x + width, y + height),
        score,
        row.get("segmentation") or None,
    )


def _number_or_text(value: Any) -> int | str | None:
    """Convert 7, 7.0 and "7" to 7; other text stays unchanged."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, int) or value is None:
        return value
    text = str(value).strip()
    # "007" is a stem, not the number 7
    return int(text) if text.isascii() and text.isdecimal() and str(int(text)) == text else text
