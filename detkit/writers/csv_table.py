"""A table of detections."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from detkit.registry import register
from detkit.structures.predictions import PredictedImage, Predictions
from detkit.writers.text_pieces import csv_lines, short_number

_COLUMNS = ("file_name", "image_id", "class", "score", "x1", "y1", "x2", "y2", "track_id")


@register("writer", "csv")
class CsvTable:
    """detections.csv: a row for each detection, with its corners in pixels."""

    def image_files(self, image: PredictedImage) -> Iterable[tuple[str, bytes]]:
        """None."""
        return ()

    def final_files(self, predictions: Predictions) -> Iterable[tuple[str, Iterable[str]]]:
        """The table; `track_id` is empty unless something tracks the objects."""
        yield "detections.csv", csv_lines(_rows(predictions))


def _rows(predictions: Predictions) -> Iterator[tuple[Any, ...]]:
    yield _COLUMNS
    for image in predictions:
        for index, box in enumerate(image.boxes):
            name = predictions.class_names[image.labels[index]]
            numbers = map(short_number, (image.scores[index], *box))
            track = "" if image.tracks is None else image.tracks[index]
            yield (image.file_name, image.number, name, *numbers, track)
