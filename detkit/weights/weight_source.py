"""Weights from a file, with their origin and classes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from detkit.runs.checkpoint import Checkpoint
from detkit.weights.class_names import Slots

CLASS_LAYER, BOX_LAYER = "head.layers.class_layer.weight", "head.layers.box_layer.weight"
_REGION_BOX_LAYER = "roi_head.stage.box_layer.weight"
_CODE_SIZE = 4


@dataclass(frozen=True)
class WeightSource:
    """Weights from a file, with their origin and classes.

    Attributes:
        path: The file.
        kind: Their origin, for messages.
        tensors: By detkit's names; a backbone's by the file's own.
        is_backbone: Whether only a backbone can be used: the file holds one, with or without its
            classifier, or a detector that detkit does not have.
        logits: K, the logits of each prior; None if the detector has no such layer.
        slots: The class of each logit, without a background that comes last; None if the file
            names no classes.
        background_first: Whether the file counts background among its classes, as label 0.
        page: The page of conf/model that fits the weights.
        augmentation: The page of conf/augmentation that fits the weights.
        overrides: Overrides of the configuration that the weights need.
        notes: Facts about the file that its user must know, such as its licence.
        is_caffe: Whether its backbone is a ResNet in the style of Caffe; None if it is no ResNet
            of MMDetection or Detectron2.
        checkpoint: The whole checkpoint, if detkit wrote the file.
    """

    path: Path
    kind: str
    tensors: dict[str, Tensor]
    is_backbone: bool = False
    logits: int | None = None
    slots: Slots | None = None
    background_first: bool = False
    page: str | None = None
    augmentation: str = "torchvision"
    overrides: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    is_caffe: bool | None = None
    checkpoint: Checkpoint | None = None


def logits_of_prior(tensors: Mapping[str, Tensor]) -> int | None:
    """Count the logits of each prior in a dense head with four box codes.

    For a roi head, count the classes with a box: the last logit, background, has none.
    """
    if _REGION_BOX_LAYER in tensors:
        boxes = len(tensors[_REGION_BOX_LAYER]) // _CODE_SIZE
        return boxes if boxes > 1 else None  # one box may serve all classes
    if not {CLASS_LAYER, BOX_LAYER} <= tensors.keys():
        return None
    priors = max(1, tensors[BOX_LAYER].shape[0] // _CODE_SIZE)
    return tensors[CLASS_LAYER].shape[0] // priors


def count_classes(tensors: Mapping[str, Tensor]) -> int | None:
    """Count the classes of a detector whose regions have background last, which is no class."""
    rows = {name: len(value) for name, value in tensors.items() if name.endswith("bias")}
    for part in ("roi_head.stage", "roi_head.stages.0"):
        if f"{part}.class_layer.bias" in rows:
            return rows[f"{part}.class_layer.bias"] - 1
    if "head.layers.class_layers.0.bias" in rows:
        per_prior = rows["head.layers.class_layers.0.bias"] * _CODE_SIZE
        return per_prior // rows["head.layers.box_layers.0.bias"]
    return logits_of_prior(tensors)
