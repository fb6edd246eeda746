"""A data set of FiftyOne."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from detkit.registry import register
from detkit.structures.predictions import ImageRecord, PredictedImage, Predictions
from detkit.writers.text_pieces import json_object


@register("writer", "fiftyone")
class FiftyOne:
    """fiftyone/labels.json and data.json: a `FiftyOneImageDetectionDataset` that names the images.

    FiftyOne reads it without detkit: `fiftyone.Dataset.from_dir(dataset_dir="OUTPUT/fiftyone",
    dataset_type=fiftyone.types.FiftyOneImageDetectionDataset, data_path="data.json",
    label_field="predictions")`.
    """

    def image_files(self, image: PredictedImage) -> Iterable[tuple[str, bytes]]:
        """None."""
        return ()

    def final_files(self, predictions: Predictions) -> Iterable[tuple[str, Iterable[str]]]:
        """The detections of each image by its name, and its file by its name."""
        labels = (
            (image.name, _detections(image, predictions.class_names)) for image in predictions
        )
        yield "fiftyone/labels.json", chain(['{"labels": '], json_object(labels), ["}\n"])
        # FiftyOne drops the suffix of these names, so that they equal those of the labels.
        files = ((f"{image.name}.image", _path(image.file_name)) for image in predictions)
        yield "fiftyone/data.json", json_object(files)


def _detections(image: ImageRecord, class_names: Sequence[str]) -> list[dict[str, Any]]:
    """Boxes as x, y, width and height in shares of the image."""
    height, width = image.size
    return [
        {
            "label": class_names[label],
            "bounding_box": [x1 / width, y1 / height, (x2 - x1) / width, (y2 - y1) / height],
            "confidence": score,
        }
        for label, (x1, y1, x2, y2), score in zip(
            image.labels, image.boxes, image.scores, strict=True
        )
    ]


def _path(file_name: str) -> str:
    return str(Path(file_name).absolute())
