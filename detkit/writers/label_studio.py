"""Pre-annotations for Label Studio."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from detkit.registry import register
from detkit.structures.predictions import ImageRecord, PredictedImage, Predictions
from detkit.writers.text_pieces import json_list

_LOCAL = "/data/local-files/?d="  # how Label Studio serves files of its machine
_FROM, _TO = "label", "image"  # names of the tags in its labelling configuration
_WHOLE = 100  # per cent


@register("writer", "label_studio")
class LabelStudio:
    """label_studio.json: a task for each image, with the detections as a prediction to correct.

    Label Studio serves the images itself if it runs with
    LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED=true and LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT=/, and
    the project has their folder as a local storage. The project's labelling configuration needs
    <Image name="image" value="$image"/> and <RectangleLabels name="label" toName="image">.
    """

    def image_files(self, image: PredictedImage) -> Iterable[tuple[str, bytes]]:
        """None."""
        return ()

    def final_files(self, predictions: Predictions) -> Iterable[tuple[str, Iterable[str]]]:
        """The tasks of all images."""
        tasks = (_task(image, predictions.class_names) for image in predictions)
        yield "label_studio.json", json_list(tasks)


def _task(image: ImageRecord, class_names: Sequence[str]) -> dict[str, Any]:
    regions = [_region(image, index, class_names) for index in range(len(image))]
    prediction: dict[str, Any] = {"model_version": "detkit", "result": regions}
    if image.scores:
        prediction["score"] = sum(image.scores) / len(image.scores)
    return {"data": {"image": _address(image.file_name)}, "predictions": [prediction]}


def _region(image: ImageRecord, index: int, class_names: Sequence[str]) -> dict[str, Any]:
    """A detection with its box in per cent of the image."""
    height, width = image.size
    x1, y1, x2, y2 = image.boxes[index]
    return {
        "id": f"{image.number}-{index + 1}",
        "type": "rectanglelabels",
        "from_name": _FROM,
        "to_name": _TO,
        "original_width": width,
        "original_height": height,
        "image_rotation": 0,
        "value": {
            "x": _WHOLE * x1 / width,
            "y": _WHOLE * y1 / height,
            "width": _WHOLE * (x2 - x1) / width,
            "height": _WHOLE * (y2 - y1) / height,
            "rotation": 0,
            "rectanglelabels": [class_names[image.labels[index]]],
        },
        "score": image.scores[index],
    }


def _address(file_name: str) -> str:
    """The address that Label Studio loads an image from; one on the network stays as it is."""
    if re.match(r"\w+://", file_name):
        return file_name
    return _LOCAL + quote(Path(file_name).absolute().as_posix().lstrip("/"))
