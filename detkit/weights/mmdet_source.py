"""Weight files of MMDetection 3 (and 2, which has the same names), by detkit's names."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from detkit.errors import UserError
from detkit.weights.class_names import coco_slots_without_gaps
from detkit.weights.mmdet_tensors import (
    cascade_tensors,
    dense_tensors,
    faster_tensors,
    yolov3_tensors,
)
from detkit.weights.weight_source import WeightSource, logits_of_prior

_COCO_CLASSES = 80
_CODE_SIZE = 4
_STEM = "backbone.conv1.weight"
_CAFFE = ("true", "[123.675,116.28,103.53]", "[1,1,1]")
_PYTORCH = ("false", "[123.675,116.28,103.53]", "[58.395,57.12,57.375]")
_STYLE_KEYS = ("model.backbone.stride_in_1x1", "model.pixel_mean", "model.pixel_std")


class _Detector(NamedTuple):
    """A detector of MMDetection that detkit reads.

    Attributes:
        marks: Tensors that no other detector in the table has all of.
        title: Its name, for messages.
        page: The page of conf/model.
        tensors: Renames its tensors and brings their values into detkit's order.
        augmentation: The page of conf/augmentation.
        overrides: Settings that differ from the page's.
        is_caffe: Whether its published weights, and the page, have a ResNet in the style of Caffe;
            None for other backbones.
    """

    marks: tuple[str, ...]
    title: str
    page: str
    tensors: Callable[[Mapping[str, Tensor]], dict[str, Tensor]]
    augmentation: str = "torchvision"
    overrides: tuple[str, ...] = ()
    is_caffe: bool | None = None


_DETECTORS = [
    _Detector(
        ("bbox_head.retina_cls.weight", _STEM),
        "RetinaNet",
        "mmdet_retinanet",
        dense_tensors,
        is_caffe=False,
    ),
    _Detector(
        ("bbox_head.atss_cls.weight", _STEM), "ATSS", "mmdet_atss", dense_tensors, is_caffe=False
    ),
    _Detector(
        ("bbox_head.conv_cls.weight", "bbox_head.conv_centerness.weight", _STEM),
        "FCOS",
        "mmdet_fcos",
        dense_tensors,
        is_caffe=True,
    ),
    _Detector(
        ("rpn_head.rpn_cls.weight", "roi_head.bbox_head.fc_cls.weight", _STEM),
        "Faster R-CNN",
        "mmdet_faster_rcnn",
        faster_tensors,
        is_caffe=False,
    ),
    _Detector(
        ("rpn_head.rpn_cls.weight", "roi_head.bbox_head.2.fc_cls.weight", _STEM),
        "Cascade R-CNN",
        "mmdet_cascade_rcnn",
        cascade_tensors,
        is_caffe=False,
    ),
    _Detector(
        ("backbone.conv_res_block5.conv.conv.weight", "bbox_head.convs_pred.2.weight"),
        "YOLOv3",
        "yolov3",
        yolov3_tensors,
        "standard",
        ("model.pixel_mean=[0,0,0]", "model.pixel_std=[255,255,255]"),
    ),
]
# Layers of relatives of these detectors that detkit does not have: other heads, or other sizes.
_FOREIGN = (
    "bbox_head.multi_cls_layers.0.weight",
    "neck.fpn_convs.5.conv.weight",
    "roi_head.bbox_head.3.fc_cls.weight",
    "roi_head.bbox_head.shared_convs.0.conv.weight",
)
# Blocks of the third stage of ResNets with bottlenecks.
_BACKBONES = {23: "resnet101", 36: "resnet152"}


def is_mmdet(names: Collection[str]) -> bool:
    """Whether these tensor names come from a detector of MMDetection that detkit has."""
    return _detector_of(names) is not None


def read_mmdet(path: Path, named_tensors: Mapping[str, Tensor]) -> WeightSource:
    """Convert a detector of MMDetection.

    Args:
        path: The file.
        named_tensors: Its tensors by MMDetection's names.
    """
    detector = _detector_of(named_tensors)
    if detector is None:
        raise ValueError("these tensors belong to no detector of MMDetection that detkit has")
    tensors = detector.tensors(named_tensors)
    classes = _count_classes(tensors)
    slots = coco_slots_without_gaps() if classes == _COCO_CLASSES else None
    source = WeightSource(
        path=path,
        kind=f"{detector.title} of MMDetection{', with the classes of COCO' if slots else ''}",
        tensors=tensors,
        logits=classes,
        slots=slots,
        page=detector.page,
        augmentation=detector.augmentation,
        overrides=detector.overrides,
        is_caffe=detector.is_caffe,
    )
    if detector.is_caffe is None:
        return source
    source = replace(source, overrides=_backbone_of(named_tensors, detector))
    note = _style_note(detector.is_caffe)
    return replace(_with_swapped_colours(source) if detector.is_caffe else source, notes=(note,))


def in_style(source: WeightSource, is_caffe: bool) -> WeightSource:
    """Read a ResNet of MMDetection in the style of Caffe, or of PyTorch.

    The tensors have the same names and shapes in both. Caffe's networks read BGR images, of which
    only the mean is subtracted, and have their strides in other convolutions.

    Raises:
        UserError: The file holds no such ResNet.
    """
    if source.is_caffe is None:
        raise UserError(
            f"caffe: {source.path} ({source.kind}) has no ResNet of MMDetection: leave it out."
        )
    if source.is_caffe != is_caffe:
        values = _CAFFE if is_caffe else _PYTORCH
        words = tuple(f"{key}={value}" for key, value in zip(_STYLE_KEYS, values, strict=True))
        source = replace(
            _with_swapped_colours(source),
            overrides=(*source.overrides, *words),
            is_caffe=is_caffe,
        )
    return replace(source, notes=(f"{'Caffe' if is_caffe else 'PyTorch'} style: as you set it",))


def _detector_of(names: Collection[str]) -> _Detector | None:
    if any(name in names for name in _FOREIGN):
        return None
    fitting = (d for d in _DETECTORS if all(mark in names for mark in d.marks))
    return next(fitting, None)


def _count_classes(tensors: Mapping[str, Tensor]) -> int | None:
    """The classes of a detector, by detkit's names, without background."""
    rows = {name: len(value) for name, value in tensors.items() if name.endswith("bias")}
    for part in ("roi_head.stage", "roi_head.stages.0"):
        if f"{part}.class_layer.bias" in rows:
            return rows[f"{part}.class_layer.bias"] - 1
    if "head.layers.class_layers.0.bias" in rows:
        per_prior = rows["head.layers.class_layers.0.bias"] * _CODE_SIZE
        return per_prior // rows["head.layers.box_layers.0.bias"]
    return logits_of_prior(tensors)


def _backbone_of(named_tensors: Mapping[str, Tensor], detector: _Detector) -> tuple[str, ...]:
    """The overrides that select a ResNet other than the pages' ResNet-50, with their settings."""
    blocks = sum(
        name.startswith("backbone.layer3.") and name.endswith(".conv1.weight")
        for name in named_tensors
    )
    backbone = _BACKBONES.get(blocks)
    if backbone is None:
        return ()
    levels = "[2,3,4,5]" if detector.page.endswith("_rcnn") else "[3,4,5]"
    return (
        f"model/backbone={backbone}",
        "model.backbone.norm=frozen_batch",
        "model.backbone.frozen_stages=2",
        f"model.backbone.levels={levels}",
        f"model.backbone.stride_in_1x1={'true' if detector.is_caffe else 'false'}",
    )


def _with_swapped_colours(source: WeightSource) -> WeightSource:
    """Swap red and blue in the first convolution, so that a network for BGR images takes RGB."""
    return replace(source, tensors={**source.tensors, _STEM: source.tensors[_STEM].flip(1)})


def _style_note(is_caffe: bool) -> str:
    if is_caffe:
        return "Caffe style (BGR images, strides in 1x1), as in its configuration; else caffe=false"
    return "PyTorch style, as in its usual configuration; else (resnet50-caffe) caffe=true"
