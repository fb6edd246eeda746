"""YOLO's text files."""

from __future__ import annotations

from collections.abc import Iterable

from detkit.registry import register
from detkit.structures.predictions import PredictedImage, Predictions


@register("writer", "yolo")
class YoloText:
    """labels/NAME.txt: a line for each detection, and classes.txt: the names of the classes.

    A line holds class, centre x, centre y, width, height and score; coordinates are shares of the
    image's width and height. An image without detections gets an empty file.
    """

    def image_files(self, image: PredictedImage) -> Iterable[tuple[str, bytes]]:
        """The text file of an image."""
        record = image.record
        height, width = record.size
        lines = []
        for label, (x1, y1, x2, y2), score in zip(
            record.labels, record.boxes, record.scores, strict=True
        ):
            centre = ((x1 + x2) / 2 / width, (y1 + y2) / 2 / height)
            values = (*centre, (x2 - x1) / width, (y2 - y1) / height, score)
            lines.append(" ".join([str(label), *(f"{value:.6f}" for value in values)]) + "\n")
        yield f"labels/{record.name}.txt", "".join(lines).encode()

    def final_files(self, predictions: Predictions) -> Iterable[tuple[str, Iterable[str]]]:
        """The class names, one a line, in the order of the numbers."""
        yield "classes.txt", (f"{name}\n" for name in predictions.class_names)
