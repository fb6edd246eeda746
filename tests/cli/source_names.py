"""Weight files as other frameworks name their tensors, made from detkit's models for tests."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from detkit import assembly
from detkit.assembly import Classes
from detkit.config.compose import compose
from detkit.weights import ultralytics_source

_CLASSES = Classes([str(number) for number in range(80)], list(range(80)))
_YOLOV8 = [
    (r"blocks\.(\d+)\.squeeze", r"m.\1.cv1"),
    (r"blocks\.(\d+)\.spread", r"m.\1.cv2"),
    (r"\.entry\.", ".cv1."),
    (r"\.join\.", ".cv2."),
    (r"^head\.layers\.box_layers\.(\d)", r"model.22.cv2.\1.2"),
    (r"^head\.layers\.class_layers\.(\d)", r"model.22.cv3.\1.2"),
    (r"^head\.layers\.box_towers", "model.22.cv2"),
    (r"^head\.layers\.class_towers", "model.22.cv3"),
    (r"\.norm\.", ".bn."),
]
_RETINANET = [
    (r"^neck\.lateral\.(\d)", r"neck.lateral_convs.\1.conv"),
    (r"^neck\.output\.(\d)", r"neck.fpn_convs.\1.conv"),
    (r"^neck\.extra\.p6", "neck.fpn_convs.3.conv"),
    (r"^neck\.extra\.p7", "neck.fpn_convs.4.conv"),
    (r"^head\.layers\.class_tower\.(\d)\.conv", r"bbox_head.cls_convs.\1.conv"),
    (r"^head\.layers\.box_tower\.(\d)\.conv", r"bbox_head.reg_convs.\1.conv"),
    (r"^head\.layers\.class_layer", "bbox_head.retina_cls"),
    (r"^head\.layers\.box_layer", "bbox_head.retina_reg"),
]


def save_as_yolov8n(path: Path) -> None:
    """Save yolov8n by Ultralytics' names."""
    layers = ultralytics_source._YOLOV8_LAYERS
    numbers = [(rf"^{re.escape(name)}\.", f"model.{number}.") for number, name in layers.items()]
    torch.save(_renamed(_model("yolov8n").state_dict(), [*numbers, *_YOLOV8]), path)


def save_as_mmdet_retinanet(path: Path) -> None:
    """Save RetinaNet by MMDetection's names."""
    torch.save({"state_dict": _renamed(_model("mmdet_retinanet").state_dict(), _RETINANET)}, path)


def _model(page: str) -> nn.Module:
    torch.manual_seed(0)
    model = compose("train", [f"model={page}"])["model"]
    return assembly.build_detector(model, _CLASSES, fetch_weights=False)


def _renamed(tensors: Mapping[str, Tensor], names: list[tuple[str, str]]) -> dict[str, Tensor]:
    def renamed(name: str) -> str:
        for pattern, replacement in names:
            name = re.sub(pattern, replacement, name)
        return name

    return {renamed(name): value for name, value in tensors.items()}
