"""COCO results."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from detkit.registry import register
from detkit.structures.predictions import ImageRecord, PredictedImage, Predictions
from detkit.writers.text_pieces import json_list


@register("writer", "coco")
class CocoResults:
    """detections.json: a COCO results file whose rows also contain the file name.

    `detkit evaluate detections=FILE` and pycocotools read it.
    """

    def image_files(self, image: PredictedImage) -> Iterable[tuple[str, bytes]]:
        """None."""
        return ()

    def final_files(self, predictions: Predictions) -> Iterable[tuple[str, Iterable[str]]]:
        """One file with a row for each detection, with the category ids of the data set."""
        rows = (row for image in predictions for row in _rows(image, predictions.category_ids))
        yield "detections.json", json_list(rows)


def _rows(image: ImageRecord, category_ids: Sequence[int]) -> Iterator[dict[str, Any]]:
    """Boxes as x, y, width and height, not rounded, as `Result.to_coco` gives them."""
    for index, (x1, y1, x2, y2) in enumerate(image.boxes):
        row: dict[str, Any] = {
            "image_id": image.number,
            "file_name": image.file_name,
            "category_id": category_ids[image.labels[index]],
            "bbox": [x1, y1, x2 - x1, y2 - y1],
            "score": image.scores[index],
        }
        if image.segmentations is not None:
            row["segmentation"] = image.segmentations[index]
        if image.tracks is not None:
            row["track_id"] = image.tracks[index]
        yield row
