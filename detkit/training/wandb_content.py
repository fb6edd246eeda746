"""Content of a run in W&B's own types."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from detkit.structures.analysis import Analysis
from detkit.training.callbacks.pictures import ValidationPicture
from detkit.training.logger_content import ClassScores, TrainingResult, finite
from detkit.visualization.draw import pixels_to_picture

_MOST_DETECTIONS = 100  # per image
_MOST_CURVES = 20  # for the classes with the most objects
_OBJECTS, _DETECTIONS = "ground_truth", "predictions"


def overlay(picture: ValidationPicture, class_names: list[str]) -> Any:
    """An image with objects and detections as W&B overlays, to be filtered by class and score."""
    target, predicted = picture.target, picture.detections
    best = predicted.scores.argsort(descending=True)[:_MOST_DETECTIONS]
    objects = [
        _box(corners, label, class_names[label] + (" (ignored)" if ignored else ""))
        for corners, label, ignored in zip(
            target.boxes.tolist(), target.labels.tolist(), target.ignored.tolist(), strict=True
        )
    ]
    detections = [
        _box(corners, label, f"{class_names[label]} {score:.2f}", score)
        for corners, label, score in zip(
            predicted.boxes[best].tolist(),
            predicted.labels[best].tolist(),
            predicted.scores[best].tolist(),
            strict=True,
        )
    ]
    names = dict(enumerate(class_names))
    boxes = {
        _OBJECTS: {"box_data": objects, "class_labels": names},
        _DETECTIONS: {"box_data": detections, "class_labels": names},
    }
    pixels = picture.image.permute(1, 2, 0).numpy()
    return _wandb().Image(
        pixels_to_picture(pixels), caption=picture.name, boxes=boxes, file_type="jpg"
    )


def _box(
    corners: list[float], label: int, caption: str, score: float | None = None
) -> dict[str, Any]:
    position = dict(zip(("minX", "minY", "maxX", "maxY"), corners, strict=True))
    box = {"position": position, "domain": "pixel", "class_id": label, "box_caption": caption}
    return box if score is None else {**box, "scores": {"score": score}}


def class_table(scores: ClassScores) -> Any:
    """A table with a row for each class."""
    rows = [[name, *values] for name, values in scores.rows.items()]
    return _wandb().Table(columns=["class", *scores.columns], data=rows)


def precision_recall(analysis: Analysis) -> Any:
    """Curves of the classes with the most objects, at the lowest IoU threshold."""
    curves = analysis.precision_recall
    order = np.argsort(-analysis.objects, kind="stable")[:_MOST_CURVES]
    labels = [int(label) for label in order if analysis.objects[label] > 0]
    return _wandb().plot.line_series(
        xs=curves.recall.tolist(),
        ys=[[finite(value) for value in curves.precision[0, label]] for label in labels],
        keys=[analysis.class_names[label] for label in labels],
        title=f"precision over recall, IoU {curves.iou_thresholds[0]:.2f}",
        xname="recall",
    )


def picture_file(file: Path) -> Any:
    """A picture that is already on disk."""
    return _wandb().Image(str(file))


def best_model(run_id: str, result: TrainingResult, numbers: Mapping[str, float]) -> Any:
    """The best checkpoint as a model artifact, with its numbers."""
    finite_numbers = {name: finite(value) for name, value in numbers.items()}
    details = {"epoch": result.epoch, "classes": result.class_names, **finite_numbers}
    artifact = _wandb().Artifact(f"model-{run_id}", type="model", metadata=details)
    artifact.add_file(str(result.checkpoint), name=result.checkpoint.name)
    return artifact


def _wandb() -> Any:
    """W&B, which takes a second to import."""
    return importlib.import_module("wandb")
