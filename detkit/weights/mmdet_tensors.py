"""MMDetection's tensor names, and the order of values in its layers, by detkit's."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from torch import Tensor

from detkit.weights.yolo_outputs import separate_outputs

Replacement = str | Callable[[re.Match[str]], str]
_LAYERS = "head.layers."
_STAGE = r"^roi_head\.bbox_head\."
_YOLO_PRIORS, _YOLO_LEVELS = 3, 3
_PYRAMID: list[tuple[str, Replacement]] = [
    (r"^neck\.lateral_convs\.(\d+)\.", r"neck.lateral.\1."),
    (r"^neck\.fpn_convs\.([0-2])\.", r"neck.output.\1."),
]
_TWO_EXTRA: list[tuple[str, Replacement]] = [
    (r"^neck\.fpn_convs\.3\.conv\.", "neck.extra.p6."),
    (r"^neck\.fpn_convs\.4\.conv\.", "neck.extra.p7."),
]
_DENSE: list[tuple[str, Replacement]] = [
    *_PYRAMID,
    *_TWO_EXTRA,
    (r"^bbox_head\.cls_convs\.(\d+)\.conv\.", rf"{_LAYERS}class_tower.\1.conv."),
    (r"^bbox_head\.cls_convs\.(\d+)\.gn\.", rf"{_LAYERS}class_tower.\1.norm."),
    (r"^bbox_head\.reg_convs\.(\d+)\.conv\.", rf"{_LAYERS}box_tower.\1.conv."),
    (r"^bbox_head\.reg_convs\.(\d+)\.gn\.", rf"{_LAYERS}box_tower.\1.norm."),
    (r"^bbox_head\.(?:retina_cls|atss_cls|conv_cls)\.", f"{_LAYERS}class_layer."),
    (r"^bbox_head\.(?:retina_reg|atss_reg|conv_reg)\.", f"{_LAYERS}box_layer."),
    (r"^bbox_head\.(?:atss_|conv_)centerness\.", f"{_LAYERS}quality_layer."),
]
_PROPOSER: list[tuple[str, Replacement]] = [
    *_PYRAMID,
    (r"^neck\.fpn_convs\.3\.", "neck.output.3."),
    (r"^rpn_head\.rpn_conv\.", "proposer.layers.shared.0.conv."),
    (r"^rpn_head\.rpn_cls\.", "proposer.layers.class_layer."),
    (r"^rpn_head\.rpn_reg\.", "proposer.layers.box_layer."),
]
_REGIONS: list[tuple[str, Replacement]] = [
    (r"^(roi_head\.\w+(?:\.\d)?\.)shared_fcs\.0\.", r"\1box_head.first."),
    (r"^(roi_head\.\w+(?:\.\d)?\.)shared_fcs\.1\.", r"\1box_head.second."),
    (r"^(roi_head\.\w+(?:\.\d)?\.)fc_cls\.", r"\1class_layer."),
    (r"^(roi_head\.\w+(?:\.\d)?\.)fc_reg\.", r"\1box_layer."),
]
_YOLOV3: list[tuple[str, Replacement]] = [
    (r"\.bn\.", ".norm."),
    (r"^backbone\.conv1\.", "backbone.stages.0.0."),
    (r"^backbone\.conv_res_block(\d)\.conv\.", lambda m: _darknet(m[1], -1)),
    (r"^backbone\.conv_res_block(\d)\.res(\d)\.conv1\.", lambda m: _darknet(m[1], m[2], "squeeze")),
    (r"^backbone\.conv_res_block(\d)\.res(\d)\.conv2\.", lambda m: _darknet(m[1], m[2], "spread")),
    (
        r"^neck\.detect(\d)\.conv(\d)\.",
        lambda m: f"neck.output.{_YOLO_LEVELS - int(m[1])}.{int(m[2]) - 1}.",
    ),
    (r"^neck\.conv(\d)\.", lambda m: f"neck.lateral.{_YOLO_LEVELS - 1 - int(m[1])}."),
    (
        r"^bbox_head\.convs_bridge\.(\d)\.",
        lambda m: f"{_LAYERS}convs.{_YOLO_LEVELS - 1 - int(m[1])}.0.",
    ),
]
_SSD: list[tuple[str, Replacement]] = [
    (r"^backbone\.features\.31\.", "backbone.fc6."),
    (r"^backbone\.features\.33\.", "backbone.fc7."),
    (r"^neck\.l2_norm\.weight", "backbone.scale"),
    (r"^neck\.extra_layers\.(\d)\.0\.conv\.", r"neck.extra.\1.squeeze.conv."),
    (r"^neck\.extra_layers\.(\d)\.1\.conv\.", r"neck.extra.\1.conv."),
    (r"^bbox_head\.cls_convs\.(\d)\.0\.", rf"{_LAYERS}class_layers.\1."),
    (r"^bbox_head\.reg_convs\.(\d)\.0\.", rf"{_LAYERS}box_layers.\1."),
]
_FASTER: list[tuple[str, Replacement]] = [*_PROPOSER, (_STAGE, "roi_head.stage."), *_REGIONS]
_CASCADE: list[tuple[str, Replacement]] = [*_PROPOSER, (_STAGE, "roi_head.stages."), *_REGIONS]


def _darknet(stage: str, block: str | int, part: str = "") -> str:
    """The name of a convolution of Darknet-53; stages count from 1, block -1 halves the map."""
    index = int(block) + 1 + (stage == "1")  # the stem is before the first stage
    return f"backbone.stages.{int(stage) - 1}.{index}.{part and part + '.'}"


def dense_tensors(named_tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """RetinaNet, FCOS and ATSS: one scale for each level, and biases before group norms."""
    tensors = _renamed(named_tensors, _DENSE)
    scales = [name for name in tensors if re.fullmatch(r"bbox_head\.scales\.\d+\.scale", name)]
    if scales:
        tensors[f"{_LAYERS}scales"] = _stacked([tensors.pop(name) for name in sorted(scales)])
    for name, value in list(tensors.items()):
        if "_tower." in name and name.endswith(".conv.weight"):
            # MMDetection has no bias before a group norm.
            tensors.setdefault(name.replace(".weight", ".bias"), value.new_zeros(len(value)))
    return tensors


def faster_tensors(named_tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Faster R-CNN: box codes ordered by code, then class."""
    tensors = _renamed(named_tensors, _FASTER)
    return tensors | codes_before_classes(tensors)


def codes_before_classes(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The box layer of a roi head ordered by code, then class; the file has it by class."""
    ordered = {}
    for name in ("roi_head.stage.box_layer.weight", "roi_head.stage.box_layer.bias"):
        rows = tensors[name]
        ordered[name] = rows.view(-1, 4, *rows.shape[1:]).transpose(0, 1).flatten(0, 1)
    return ordered


def cascade_tensors(named_tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Cascade R-CNN, with one box for all classes."""
    return _renamed(named_tensors, _CASCADE)


def ssd_tensors(named_tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """SSD300, whose background is the last class, as in detkit."""
    return _renamed(named_tensors, _SSD)


def yolov3_tensors(named_tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """YOLOv3: levels from fine to coarse, and separate output layers."""
    tensors: dict[str, Tensor] = {}
    for name, value in _renamed(named_tensors, _YOLOV3).items():
        match = re.fullmatch(r"bbox_head\.convs_pred\.(\d)\.(weight|bias)", name)
        if match:
            level = _YOLO_LEVELS - 1 - int(match[1])
            tensors |= separate_outputs(level, value, _YOLO_PRIORS, match[2])
        else:
            tensors[name] = value
    return tensors


def _renamed(
    named_tensors: Mapping[str, Tensor], table: list[tuple[str, Replacement]]
) -> dict[str, Tensor]:
    tensors = {}
    for name, value in named_tensors.items():
        for pattern, replacement in table:
            name = re.sub(pattern, replacement, name)  # noqa: PLW2901
        tensors[name] = value
    return tensors


def _stacked(scales: list[Tensor]) -> Tensor:
    return scales[0].new_tensor([float(scale) for scale in scales])
