"""What an exported file says about itself, from the configuration and the detector."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from detkit.assembly import Classes
from detkit.config.derived.image_size import as_size
from detkit.errors import UserError
from detkit.export.graph import largest_stride, mask_size, only_size
from detkit.pixels.pixel_format import PixelFormat
from detkit.runs.score_threshold import default_threshold, measured_class_thresholds
from detkit.structures.exported import ExportedModel

_MEAN = (123.675, 116.28, 103.53)  # of detectors of plugins without a pixel mean


def describe_export(
    config: Mapping[str, Any], classes: Classes, detector: nn.Module, checkpoint: Path
) -> tuple[ExportedModel, list[str]]:
    """The metadata of an export, and lines on what was chosen automatically.

    Args:
        config: The checked configuration of the root `export`.
        classes: What the detector detects.
        detector: The built detector.
        checkpoint: Its checkpoint, whose run measured the minimum scores to show.

    Raises:
        UserError: The size is no multiple of what the network needs, or not the one it takes.
    """
    augmentation, batch = config["augmentation"], config["batch"]
    mean = config["model"].get("pixel_mean") or _MEAN
    size, notes = _size(config, detector)
    model = ExportedModel(
        class_names=tuple(classes.names),
        category_ids=tuple(classes.category_ids),
        resize={key: step for key, step in augmentation["evaluation"].items() if step},
        padding=tuple(map(float, mean)),
        channels=len(mean),
        value_range=PixelFormat.of(config).value_range,
        score_threshold=default_threshold(checkpoint).value,
        class_thresholds=measured_class_thresholds(checkpoint),
        size=size,
        batch=None if batch == "dynamic" else batch,
        nms=config["nms"],
        precision=config["precision"],
        pad_multiple=augmentation["pad_multiple"],
        stride=largest_stride(detector),
        postprocess=_postprocess(config["model"]),
        mask_size=mask_size(detector),
    )
    return model, notes


def _size(
    config: Mapping[str, Any], detector: nn.Module
) -> tuple[tuple[int, int] | None, list[str]]:
    """The fixed size, or None for any if the detector takes any; and a line if it takes one only.

    Raises:
        UserError: The size is no multiple of what the network needs, or not the one it takes.
    """
    only, size = only_size(detector), config["size"]
    if only is not None and size == "dynamic":
        return only, [f"size={list(only)}: the detector takes no other size of images"]
    if size == "dynamic":
        return None, []
    size = _fixed_size(as_size(size), config["augmentation"]["pad_multiple"])
    if only is not None and size != only:
        raise UserError(f"size={list(size)}: the detector takes images of {list(only)} only.")
    return size, []


def _fixed_size(size: tuple[int, int], multiple: int) -> tuple[int, int]:
    """A fixed size, which must be a multiple of what the network needs.

    Raises:
        UserError: It is not.
    """
    if any(length % multiple for length in size):
        height, width = (-(-length // multiple) * multiple for length in size)
        raise UserError(
            f"size={list(size)}: height and width must be multiples of {multiple} "
            f"(augmentation.pad_multiple): use size=[{height},{width}]."
        )
    return size


def _postprocess(node: Any) -> Mapping[str, Any] | None:
    """The configuration of the last post-processing in a model."""
    last = None
    for key, value in node.items() if isinstance(node, Mapping) else ():
        is_postprocess = key == "postprocess" and isinstance(value, Mapping)
        last = value if is_postprocess else _postprocess(value) or last
    return last
