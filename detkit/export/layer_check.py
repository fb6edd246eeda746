"""The certificate's check of layers: a damaged layer fails even if no detection shows it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch.nn import functional as F

from detkit.export.certificate import Check
from detkit.export.trial_images import trials
from detkit.interfaces import Exporter, LayerExporter
from detkit.structures.export_graph import ExportGraph, Images
from detkit.text import counted

_TOLERANCES = {"fp32": 1e-3, "fp16": 2e-2, "int8": 0.5}  # relative to a layer's largest value
_LONGEST_SIDE = 512  # the outputs of all layers are in memory at once
_NAMED = 5  # layers in a message
_HIDDEN = "this format does not show the outputs of its layers"


def check_layers(
    graph: ExportGraph, exporter: Exporter, path: Path, images: Sequence[Images], step: int
) -> tuple[Check, str | None]:
    """Compare the output of each layer on one small batch.

    Args:
        graph: The graph that the model was made from.
        exporter: Its exporter.
        path: The written model.
        images: One or more images (3, H, W).
        step: Sides are multiples of this.

    Returns:
        The check, and the first layer that differs.
    """
    if not isinstance(exporter, LayerExporter):
        return Check("layers", None, _HIDDEN), None
    tolerance = _TOLERANCES[graph.metadata.precision]
    batch = next(trials([_small(images[0], step)], graph.metadata, step))
    try:
        comparison = exporter.compare_layers(graph, path, batch, tolerance)
    except Exception as error:  # an engine may fail in any way, also for lack of memory
        return Check("layers", None, _unknown(error)), None
    if comparison.difference is not None:
        return Check("layers", False, comparison.difference), comparison.difference
    text = f"the {comparison.values} of {counted(len(comparison.compared), 'layer')} "
    is_exact = comparison.values == "weights"
    text += "are equal" if is_exact else f"agree to {tolerance:g} of the layer's largest value"
    if comparison.unseen:
        names = ", ".join(comparison.unseen[:_NAMED])
        count = counted(len(comparison.unseen), "layer")
        return Check("layers", None, f"{text}; {count} cannot be compared: {names}"), None
    return Check("layers", bool(comparison.compared), text), None


def _small(image: Images, step: int) -> Images:
    """An image (3, H, W), shrunk if it is large."""
    scale = min(1.0, _LONGEST_SIDE / max(image.shape[1:]))
    if scale == 1:
        return image
    size = [max(step, round(side * scale / step) * step) for side in image.shape[1:]]
    resized: Images = F.interpolate(torch.from_numpy(image)[None], size, mode="bilinear")[0].numpy()
    return resized


def first_difference(
    graph: ExportGraph, exporter: Exporter, path: Path, images: Sequence[Images], step: int
) -> str:
    """The first layer that differs in a model whose outputs differ, or why it is unknown.

    Args:
        graph: The graph that the model was made from.
        exporter: Its exporter.
        path: The written model.
        images: One or more images (3, H, W).
        step: Sides are multiples of this.
    """
    if not isinstance(exporter, LayerExporter):
        return _HIDDEN
    tolerance = _TOLERANCES[graph.metadata.precision]
    for batch in trials(images, graph.metadata, step):
        try:
            comparison = exporter.compare_layers(graph, path, batch, tolerance)
        except Exception as error:  # the engine may not run at all
            return _unknown(error)
        if comparison.difference is not None:
            return f"{comparison.difference} (images of shape {batch.shape})"
    return f"none by more than {tolerance:g} of its largest value; the end of the graph differs"


def _unknown(error: Exception) -> str:
    reason = " ".join(str(error).split())[:200]
    return f"unknown: the layers cannot be run ({type(error).__name__}: {reason})"
