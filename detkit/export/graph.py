"""A detector as a graph that takes nothing but images."""

from __future__ import annotations

import math
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from detkit.errors import UserError
from detkit.export.static_padding import with_static_padding
from detkit.structures import PaddedDetections
from detkit.structures.export_graph import ExportGraph, Images

# Below this, a deep network's coarsest map is 1 x 1, and torch.export takes a length of 1 for
# a constant.
_SMALLEST = 256
_LONGEST = 400  # letters of another tool's message
_CELLS = 3  # of the coarsest level in the example
_MASK_HEAD = "mask_head"  # the slot of roi heads


class DetectionGraph(nn.Module):
    """Images to padded detections: boxes, scores, labels, counts, and masks if there are any."""

    def __init__(self, detector: nn.Module) -> None:
        super().__init__()
        self.detector = detector
        self.has_masks = mask_size(detector) is not None

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """(B, 3, H, W) to (B, D, 4), (B, D), (B, D), (B,) and, with masks, (B, D, S, S)."""
        detections: PaddedDetections = self.detector.detect(images)  # type: ignore[operator]
        if not self.has_masks or detections.masks is None:
            return tuple(detections)
        return (*detections, detections.masks)


class RawGraph(nn.Module):
    """Images to all boxes and scores, for engines with a post-processing of their own."""

    def __init__(self, detector: nn.Module) -> None:
        super().__init__()
        self.detector = detector

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 3, H, W) to (B, P, 4) and (B, P, C)."""
        boxes, scores = self.detector.raw_detections(images)  # type: ignore[operator]
        return boxes, scores


def graph_module(detector: nn.Module, *, nms: bool) -> nn.Module:
    """The module to export, in evaluation mode and without gradients."""
    graph = DetectionGraph(detector) if nms else RawGraph(detector)
    return graph.eval().requires_grad_(False)


def mask_heads(detector: nn.Module) -> dict[str, nn.Module]:
    """The mask heads of a detector by config path."""
    modules = detector.named_modules()
    return {path: part for path, part in modules if path.rpartition(".")[2] == _MASK_HEAD}


def mask_size(detector: nn.Module) -> int | None:
    """The side of the masks of detections; None if the detector has no mask head."""
    sides = [int(head.side) for head in mask_heads(detector).values()]  # type: ignore[arg-type]
    return sides[0] if sides else None


def largest_stride(detector: nn.Module) -> int:
    """The stride of the coarsest feature level."""
    strides = [
        spec.stride
        for module in detector.modules()
        for spec in getattr(module, "feature_specs", ())
    ]
    return math.ceil(max(strides, default=1))


def only_size(detector: nn.Module) -> tuple[int, int] | None:
    """The one (height, width) that a detector takes, because its priors or layers fit no other."""
    for module in detector.modules():
        for part in (module, getattr(module, "priors", None)):
            size: tuple[int, int] | None = getattr(part, "fixed_size", None)
            if size is not None:
                return size
    return None


def size_step(pad_multiple: int, stride: int) -> int:
    """What the sides of trial images differ by: a multiple of what the network accepts."""
    return pad_multiple if pad_multiple > 1 else min(stride, 32)


def example_images(
    size: tuple[int, int],
    batch: int | None,
    *,
    is_dynamic: bool,
    step: int,
    stride: int,
    channels: int = 3,
) -> Tensor:
    """Images to trace a network with; all sides differ, so that none is taken for another.

    Args:
        size: The (height, width) that the images of the run have.
        batch: A fixed number of images, or None.
        is_dynamic: Whether height and width are dynamic.
        step: Sides are multiples of this.
        stride: The largest stride of the network.
        channels: Channels of an image.
    """
    height, width = size
    if is_dynamic:
        smallest = max(_SMALLEST, _CELLS * stride)
        height = math.ceil(max(height, smallest) / step) * step
        width = math.ceil(max(width, height + 1) / step) * step
    return torch.full((batch or 2, channels, height, width), 114.0)


def torch_outputs(graph: ExportGraph, images: Images) -> list[NDArray[Any]]:
    """The outputs of a graph on images (B, 3, H, W), in PyTorch."""
    with torch.no_grad():
        return [output.numpy() for output in graph.module(torch.from_numpy(images))]


def trace(graph: ExportGraph) -> torch.export.ExportedProgram:
    """Trace a graph with its dynamic axes.

    Raises:
        UserError: A part cannot be traced, or fixes an axis that should be dynamic.
    """
    axes = dynamic_axes(graph)
    module = graph.module
    if "height" in axes.values():
        module = with_static_padding(module, graph.example, graph.metadata.pad_multiple)
    shapes = (dict.fromkeys(axes, torch.export.Dim.DYNAMIC),) if axes else None
    try:
        with torch.no_grad():
            return torch.export.export(
                module, (graph.example,), dynamic_shapes=shapes, strict=False
            )
    except Exception as error:  # torch.export raises errors of many kinds
        raise UserError(_explanation(error, axes)) from error


def dynamic_axes(graph: ExportGraph) -> dict[int, str]:
    """The dynamic axes of the input by position."""
    names = {0: "batch"} if graph.metadata.batch is None else {}
    return names | ({2: "height", 3: "width"} if graph.metadata.size is None else {})


def _explanation(error: Exception, axes: dict[int, str]) -> str:
    remedy = " A fixed shape may still work: batch=1 or size=640." if axes else ""
    return f"torch.export cannot trace this detector ({root_cause(error)}).{remedy}"


def root_cause(error: BaseException) -> str:
    """The first error of a chain in a few words, as tools wrap it in advice about themselves."""
    while error.__cause__ is not None:
        error = error.__cause__
    return f"{type(error).__name__}: {' '.join(str(error).split())[:_LONGEST]}"
