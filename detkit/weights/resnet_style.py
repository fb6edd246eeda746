"""ResNets in the style of Caffe or of PyTorch, as MMDetection and Detectron2 have them.

Tensors have the same names and shapes in both styles. Caffe's networks read BGR images, subtract
only the mean, and have the stride of a bottleneck in its first 1x1 convolution.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace

from detkit.errors import UserError
from detkit.weights.weight_source import WeightSource

STEM = "backbone.conv1.weight"
CAFFE = ("true", "[123.675,116.28,103.53]", "[1,1,1]")
PYTORCH = ("false", "[123.675,116.28,103.53]", "[58.395,57.12,57.375]")
_KEYS = ("model.backbone.stride_in_1x1", "model.pixel_mean", "model.pixel_std")
# Blocks of the third stage of ResNets with bottlenecks.
_BACKBONES = {23: "resnet101", 36: "resnet152"}


def style_settings(values: tuple[str, str, str]) -> tuple[str, ...]:
    """Overrides of the stride, the mean and the deviation."""
    return tuple(f"{key}={value}" for key, value in zip(_KEYS, values, strict=True))


def in_style(source: WeightSource, is_caffe: bool) -> WeightSource:
    """Read a ResNet of MMDetection or Detectron2 in the style of Caffe, or of PyTorch.

    Raises:
        UserError: The file holds no such ResNet.
    """
    if source.is_caffe is None:
        raise UserError(
            f"caffe: {source.path} ({source.kind}) has no ResNet of MMDetection or Detectron2: "
            "leave it out."
        )
    if source.is_caffe != is_caffe:
        settings = style_settings(CAFFE if is_caffe else PYTORCH)
        source = replace(
            with_swapped_colours(source),
            overrides=(*source.overrides, *settings),
            is_caffe=is_caffe,
        )
    return replace(source, notes=(f"{'Caffe' if is_caffe else 'PyTorch'} style: as you set it",))


def with_swapped_colours(source: WeightSource) -> WeightSource:
    """Swap red and blue in the first convolution, so that a network for BGR images takes RGB."""
    return replace(source, tensors={**source.tensors, STEM: source.tensors[STEM].flip(1)})


def deeper_resnet(names: Collection[str], page: str, *, stride_in_1x1: bool) -> tuple[str, ...]:
    """The overrides that select a ResNet other than the pages' ResNet-50, with their settings.

    Args:
        names: Of the detector's tensors.
        page: The page of conf/model.
        stride_in_1x1: Where the page has the strides.
    """
    blocks = sum(
        name.startswith("backbone.layer3.") and name.endswith(".conv1.weight") for name in names
    )
    backbone = _BACKBONES.get(blocks)
    if backbone is None:
        return ()
    levels = "[2,3,4,5]" if page.endswith("_rcnn") else "[3,4,5]"
    return (
        f"model/backbone={backbone}",
        "model.backbone.norm=frozen_batch",
        "model.backbone.frozen_stages=2",
        f"model.backbone.levels={levels}",
        f"model.backbone.stride_in_1x1={'true' if stride_in_1x1 else 'false'}",
    )
