"""Detections as a COCO results file."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import torch

from detkit.errors import DataError
from detkit.structures import Detections


def result_rows(
    image_id: int,
    detections: Detections,
    category_ids: Sequence[int],
    file_name: str | None = None,
) -> list[dict[str, Any]]:
    """An image's detections as COCO results: category ids of the data set, boxes as xywh.

    Numbers are not rounded, so that pycocotools computes from the file what the metric computes.

    Args:
        image_id: The data set's id of the image.
        detections: What was found, in original coordinates.
        category_ids: The data set's id of each label.
        file_name: The file of the image, written beside its id where it is given.
    """
    source: dict[str, Any] = {"image_id": image_id}
    if file_name is not None:
        source["file_name"] = file_name
    rows = []
    for box, score, label in zip(*(value.tolist() for value in detections), strict=True):
        left, top, right, bottom = box
        place = [left, top, right - left, bottom - top]
        rows.append({**source, "category_id": category_ids[label], "bbox": place, "score": score})
    return rows


def write_rows(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    """Write rows as a JSON list with a line for each."""
    lines = ",\n".join(json.dumps(row, ensure_ascii=False) for row in rows)
    path.write_text(f"[\n{lines}\n]\n" if lines else "[]\n", encoding="utf-8")


def write_results(
    path: Path, found: Iterable[tuple[int, Detections]], category_ids: Sequence[int]
) -> None:
    """Write the detections of many images, each with its id, to a COCO results file."""
    write_rows(
        path, (row for image, boxes in found for row in result_rows(image, boxes, category_ids))
    )


def read_results(path: Path, category_ids: Sequence[int]) -> dict[int, Detections]:
    """The detections of a COCO results file by image id, best first.

    Raises:
        DataError: The file is not a list of results, or names a category that is not known.
    """
    labels = {number: label for label, number in enumerate(category_ids)}
    by_image: dict[int, list[tuple[float, int, list[float]]]] = {}
    try:
        for row in json.loads(path.read_text(encoding="utf-8")):
            left, top, width, height = row["bbox"]
            box = [left, top, left + width, top + height]
            detection = (float(row["score"]), labels[row["category_id"]], box)
            by_image.setdefault(int(row["image_id"]), []).append(detection)
    except FileNotFoundError as error:
        raise DataError(f"{path}: there is no such file.") from error
    except KeyError as error:
        raise DataError(
            f"{path}: {error} is missing: each row needs image_id, category_id (one of "
            f"{list(category_ids)}), bbox and score."
        ) from error
    except (OSError, ValueError, TypeError) as error:
        raise DataError(f"{path}: cannot be read as COCO results: {error}") from error
    return {image_id: _detections(rows) for image_id, rows in by_image.items()}


def _detections(rows: list[tuple[float, int, list[float]]]) -> Detections:
    scores, labels, boxes = zip(*sorted(rows, key=lambda row: -row[0]), strict=True)
    return Detections(torch.tensor(boxes), torch.tensor(scores), torch.tensor(labels))
