"""MOT challenge results."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from detkit.errors import UserError
from detkit.registry import register
from detkit.structures.predictions import PredictedImage, Predictions
from detkit.writers.text_pieces import csv_lines, short_number


@register("writer", "mot")
class MotChallenge:
    """mot.txt: a row for each detection of a track, as the MOT challenge has them.

    A row holds frame, identity, x, y, width, height, score and class. As the challenge asks, all
    of them count from 1, and the top left corner of an image is (1, 1). Detections without a track
    (negative identities) are left out.
    """

    def image_files(self, image: PredictedImage) -> Iterable[tuple[str, bytes]]:
        """None.

        Raises:
            UserError: Nothing tracks the objects.
        """
        if image.record.tracks is None:
            raise UserError(
                "format=mot needs tracks, and nothing tracks the objects: add track=bytetrack, or "
                "choose csv or coco for detections without identities."
            )
        return ()

    def final_files(self, predictions: Predictions) -> Iterable[tuple[str, Iterable[str]]]:
        """The rows of all frames."""
        yield "mot.txt", csv_lines(_rows(predictions))


def _rows(predictions: Predictions) -> Iterator[tuple[Any, ...]]:
    for image in predictions:
        for index, track in enumerate(image.tracks or ()):
            if track < 0:
                continue
            x1, y1, x2, y2 = image.boxes[index]
            values = (x1 + 1, y1 + 1, x2 - x1, y2 - y1, image.scores[index])
            yield (image.number, track + 1, *map(short_number, values), image.labels[index] + 1)
