"""Weight files of Detectron2, by detkit's names."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from detkit.weights.class_names import coco_slots_without_gaps
from detkit.weights.mmdet_tensors import codes_before_classes
from detkit.weights.resnet_style import (
    CAFFE,
    PYTORCH,
    deeper_resnet,
    style_settings,
    with_swapped_colours,
)
from detkit.weights.weight_source import WeightSource, count_classes

_COCO_CLASSES = 80
_OCTAVES = _RATIOS = 3
_CODE_SIZE = 4
_THEIR_STEM = re.compile(r"^backbone\.(?:bottom_up\.)?stem\.conv1\.norm\.weight$")
_PYRAMID = "backbone.fpn_output5.weight"
_RPN = ("proposal_generator.rpn_head.conv.weight", "roi_heads.box_head.fc2.weight")
_CASCADE_RPN = (_RPN[0], "roi_heads.box_head.2.fc2.weight")
_MASK = "roi_heads.mask_head.mask_fcn4.weight"
# The page, the name and the tensors of each detector that detkit reads; masks come first.
_DETECTORS = [
    ("detectron2_retinanet", "RetinaNet", ("head.cls_subnet.6.weight", "head.cls_score.weight")),
    ("detectron2_mask_rcnn", "Mask R-CNN", (*_RPN, _MASK)),
    ("detectron2_faster_rcnn", "Faster R-CNN", _RPN),
    ("detectron2_cascade_mask_rcnn", "Cascade Mask R-CNN", (*_CASCADE_RPN, _MASK)),
    ("detectron2_cascade_rcnn", "Cascade R-CNN", _CASCADE_RPN),
]
# Layers of relatives of these detectors that detkit does not have.
_FOREIGN = re.compile(
    r"^(backbone\.fpn_\w+\.norm|roi_heads\.(keypoint|box_head\.(\d\.)?conv)|sem_seg_head|"
    r"roi_heads\.mask_head\.mask_fcn\d\.norm|backbone\..*\.conv2_offset)"
)
_ONLY_BACKBONE = "a detector of Detectron2, and detkit can use only its backbone"
# Values that early versions saved, and that detkit has as settings.
_SETTINGS = re.compile(r"^(pixel_mean|pixel_std|.*anchor_generator\.cell_anchors\.\d+)$")
_FINEST = {"detectron2_retinanet": 3}  # level of the pyramid; 2 in all others
Replacement = str | Callable[[re.Match[str]], str]
_NAMES: list[tuple[str, Replacement]] = [
    (r"^backbone\.(?:bottom_up\.)?stem\.conv1\.", "backbone.conv1."),
    (r"^backbone\.(?:bottom_up\.)?res(\d)\.", lambda m: f"backbone.layer{int(m[1]) - 1}."),
    (r"^(backbone\..*)\.shortcut\.norm\.", r"\1.downsample.1."),
    (r"^(backbone\..*)\.shortcut\.", r"\1.downsample.0."),
    (r"^(backbone\..*)conv(\d)\.norm\.", r"\1bn\2."),
    (r"^backbone\.top_block\.", "neck.extra."),
    (r"^head\.cls_subnet\.(\d)\.", lambda m: f"head.layers.class_tower.{int(m[1]) // 2}.conv."),
    (r"^head\.bbox_subnet\.(\d)\.", lambda m: f"head.layers.box_tower.{int(m[1]) // 2}.conv."),
    (r"^head\.cls_score\.", "head.layers.class_layer."),
    (r"^head\.bbox_pred\.", "head.layers.box_layer."),
    (r"^proposal_generator\.rpn_head\.conv\.", "proposer.layers.shared.0.conv."),
    (r"^proposal_generator\.rpn_head\.objectness_logits\.", "proposer.layers.class_layer."),
    (r"^proposal_generator\.rpn_head\.anchor_deltas\.", "proposer.layers.box_layer."),
    (r"^roi_heads\.box_(?:head|predictor)\.(\d)\.", r"roi_head.stages.\1."),
    (r"^roi_heads\.box_(?:head|predictor)\.", "roi_head.stage."),
    (r"^(roi_head\.stage(?:s\.\d)?)\.fc1\.", r"\1.box_head.first."),
    (r"^(roi_head\.stage(?:s\.\d)?)\.fc2\.", r"\1.box_head.second."),
    (r"^(roi_head\.stage(?:s\.\d)?)\.cls_score\.", r"\1.class_layer."),
    (r"^(roi_head\.stage(?:s\.\d)?)\.bbox_pred\.", r"\1.box_layer."),
    (
        r"^roi_heads\.mask_head\.mask_fcn(\d)\.",
        lambda m: f"roi_head.mask_head.convs.{int(m[1]) - 1}.conv.",
    ),
    (r"^roi_heads\.mask_head\.deconv\.", "roi_head.mask_head.upsampling."),
    (r"^roi_heads\.mask_head\.predictor\.", "roi_head.mask_head.mask_layer."),
]


def is_detectron2(names: Collection[str]) -> bool:
    """Whether these tensor names come from a detector of Detectron2 with a ResNet."""
    return any(_THEIR_STEM.match(name) for name in names)


def read_detectron2(path: Path, named_tensors: Mapping[str, Tensor]) -> WeightSource:
    """Convert RetinaNet, Faster, Mask or Cascade R-CNN; of other detectors, only the backbone.

    Args:
        path: The file.
        named_tensors: Its tensors by Detectron2's names.
    """
    page, title = _detector_of(named_tensors)
    tensors = _tensors(named_tensors, _FINEST.get(page or "", 2))
    if page is None:
        source = WeightSource(path, _ONLY_BACKBONE, tensors, is_backbone=True)
        return _in_style_of_file(source, named_tensors)
    if page == "detectron2_retinanet":
        _order_anchors_by_ratio(tensors)
    elif "roi_head.stage.box_layer.weight" in tensors:
        tensors |= codes_before_classes(tensors)
    classes = count_classes(tensors)
    slots = coco_slots_without_gaps() if classes == _COCO_CLASSES else None
    source = WeightSource(
        path=path,
        kind=f"{title} of Detectron2{', with the classes of COCO' if slots else ''}",
        tensors=tensors,
        logits=classes,
        slots=slots,
        page=page,
        overrides=deeper_resnet(tensors, page, stride_in_1x1=True),
        is_caffe=True,
    )
    return _in_style_of_file(source, named_tensors)


def _detector_of(named_tensors: Mapping[str, Tensor]) -> tuple[str | None, str]:
    """The page of conf/model, None if detkit lacks the detector, and the detector's name."""
    is_foreign = _PYRAMID not in named_tensors or any(map(_FOREIGN.match, named_tensors))
    second = next((v for n, v in named_tensors.items() if n.endswith("res2.0.conv2.weight")), None)
    if is_foreign or second is None or second.shape[0] != second.shape[1]:  # grouped in ResNeXt
        return None, ""
    for page, title, marks in _DETECTORS:
        if all(mark in named_tensors for mark in marks):
            return page, title
    return None, ""


def _tensors(named_tensors: Mapping[str, Tensor], finest: int) -> dict[str, Tensor]:
    """The tensors by detkit's names; a norm without statistics has none to subtract."""
    names: list[tuple[str, Replacement]] = [
        *_NAMES,
        (
            r"^backbone\.fpn_(lateral|output)(\d)\.",
            lambda m: f"neck.{m[1]}.{int(m[2]) - finest}.conv.",
        ),
    ]
    tensors = {}
    for name, value in named_tensors.items():
        if _SETTINGS.match(name):
            continue
        for pattern, replacement in names:
            name = re.sub(pattern, replacement, name)  # noqa: PLW2901
        tensors[name] = value
    for name, value in list(tensors.items()):
        match = re.fullmatch(r"(backbone\..*\.(?:bn\d|downsample\.1)|backbone\.bn1)\.weight", name)
        if match:
            tensors.setdefault(f"{match[1]}.running_mean", torch.zeros_like(value))
            tensors.setdefault(f"{match[1]}.running_var", torch.ones_like(value))
    return tensors


def _order_anchors_by_ratio(tensors: dict[str, Tensor]) -> None:
    """Detectron2 lists the anchors of a cell size by size, detkit ratio by ratio."""
    anchors = len(tensors["head.layers.box_layer.bias"]) // _CODE_SIZE
    if anchors != _OCTAVES * _RATIOS:
        return
    for layer in ("class", "box"):
        for kind in ("weight", "bias"):
            name = f"head.layers.{layer}_layer.{kind}"
            rows = tensors[name]
            by_anchor = rows.view(_OCTAVES, _RATIOS, -1, *rows.shape[1:])
            tensors[name] = by_anchor.transpose(0, 1).reshape(rows.shape)


def _in_style_of_file(source: WeightSource, named_tensors: Mapping[str, Tensor]) -> WeightSource:
    """Take the style from the mean and deviation in the file, or assume that of Caffe.

    Detectron2's networks for unscaled images are Caffe's and have their strides in the 1x1
    convolutions; those for scaled images have PyTorch's strides, and read BGR or RGB.
    """
    mean, std = named_tensors.get("pixel_mean"), named_tensors.get("pixel_std")
    is_caffe = std is None or bool((std == 1).all())
    is_bgr = mean is None or bool(mean.flatten()[0] < mean.flatten()[-1])
    if is_bgr:
        source = with_swapped_colours(source)
    style = f"{'Caffe' if is_caffe else 'PyTorch'} style, {'BGR' if is_bgr else 'RGB'} images"
    origin = "as in its usual configuration" if mean is None else "by the file's mean and deviation"
    note = f"{style}, {origin}"
    settings = style_settings(CAFFE if is_caffe else PYTORCH)
    if source.is_backbone:
        return replace(source, notes=(f"{note}: set {' '.join(settings)}",))
    if not is_caffe:
        source = replace(source, overrides=(*source.overrides, *settings))
    if mean is None:
        note += "; otherwise caffe=false"
    return replace(source, notes=(note,), is_caffe=is_caffe)
