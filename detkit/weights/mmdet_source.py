"""Weight files of MMDetection 3 (and 2, which has the same names), by detkit's names."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from detkit.weights.class_names import coco_slots_without_gaps
from detkit.weights.mmdet_tensors import (
    cascade_tensors,
    dense_tensors,
    faster_tensors,
    ssd_tensors,
    yolov3_tensors,
)
from detkit.weights.resnet_style import STEM, deeper_resnet, with_swapped_colours
from detkit.weights.weight_source import WeightSource, count_classes

_COCO_CLASSES = 80


class _Detector(NamedTuple):
    """A detector of MMDetection that detkit reads.

    Attributes:
        marks: Tensors that no other detector in the table has all of.
        title: Its name, for messages.
        page: The page of conf/model.
        tensors: Renames its tensors and brings their values into detkit's order.
        augmentation: The page of conf/augmentation.
        overrides: Settings that differ from the page's.
        has_background: Whether its priors have a logit for background.
        is_caffe: Whether its published weights, and the page, have a ResNet in the style of Caffe;
            None for other backbones.
    """

    marks: tuple[str, ...]
    title: str
    page: str
    tensors: Callable[[Mapping[str, Tensor]], dict[str, Tensor]]
    augmentation: str = "torchvision"
    overrides: tuple[str, ...] = ()
    has_background: bool = False
    is_caffe: bool | None = None


_DETECTORS = [
    _Detector(
        ("bbox_head.retina_cls.weight", STEM),
        "RetinaNet",
        "mmdet_retinanet",
        dense_tensors,
        is_caffe=False,
    ),
    _Detector(
        ("bbox_head.atss_cls.weight", STEM), "ATSS", "mmdet_atss", dense_tensors, is_caffe=False
    ),
    _Detector(
        ("bbox_head.conv_cls.weight", "bbox_head.conv_centerness.weight", STEM),
        "FCOS",
        "mmdet_fcos",
        dense_tensors,
        is_caffe=True,
    ),
    _Detector(
        ("rpn_head.rpn_cls.weight", "roi_head.bbox_head.fc_cls.weight", STEM),
        "Faster R-CNN",
        "mmdet_faster_rcnn",
        faster_tensors,
        is_caffe=False,
    ),
    _Detector(
        ("rpn_head.rpn_cls.weight", "roi_head.bbox_head.2.fc_cls.weight", STEM),
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
    _Detector(
        ("neck.l2_norm.weight", "neck.extra_layers.3.1.conv.weight", "backbone.features.33.weight"),
        "SSD300",
        "mmdet_ssd300",
        ssd_tensors,
        "ssd300",
        has_background=True,
    ),
]
# Layers of relatives of these detectors that detkit does not have: other heads, or other sizes.
_FOREIGN = (
    "bbox_head.multi_cls_layers.0.weight",
    "neck.fpn_convs.5.conv.weight",
    "neck.extra_layers.4.1.conv.weight",
    "roi_head.bbox_head.3.fc_cls.weight",
    "roi_head.bbox_head.shared_convs.0.conv.weight",
)


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
    classes = count_classes(tensors)
    if classes is not None and detector.has_background:
        classes -= 1
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
    overrides = deeper_resnet(named_tensors, detector.page, stride_in_1x1=detector.is_caffe)
    source = replace(source, overrides=overrides)
    note = _style_note(detector.is_caffe)
    return replace(with_swapped_colours(source) if detector.is_caffe else source, notes=(note,))


def _detector_of(names: Collection[str]) -> _Detector | None:
    if any(name in names for name in _FOREIGN):
        return None
    fitting = (d for d in _DETECTORS if all(mark in names for mark in d.marks))
    return next(fitting, None)


def _style_note(is_caffe: bool) -> str:
    if is_caffe:
        return "Caffe style (BGR images, strides in 1x1), as in its configuration; else caffe=false"
    return "PyTorch style, as in its usual configuration; else (resnet50-caffe) caffe=true"
