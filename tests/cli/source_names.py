"""Weight files as other frameworks name their tensors, made from detkit's models for tests."""

from __future__ import annotations

import pickle
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from detkit import assembly
from detkit.assembly import Classes
from detkit.config.compose import compose
from detkit.weights import ultralytics_source

Replacement = str | Callable[[re.Match[str]], str]
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
_FASTER_RCNN: list[tuple[str, Replacement]] = [
    (r"^backbone\.(conv1|bn1)\.", r"backbone.bottom_up.stem.\1."),
    (r"^backbone\.layer(\d)\.", lambda match: f"backbone.bottom_up.res{int(match[1]) + 1}."),
    (r"\bbn(\d)\.", r"conv\1.norm."),
    (r"downsample\.0\.", "shortcut."),
    (r"downsample\.1\.", "shortcut.norm."),
    (
        r"^neck\.(lateral|output)\.(\d)\.conv\.",
        lambda match: f"backbone.fpn_{match[1]}{int(match[2]) + 2}.",
    ),
    (r"^proposer\.layers\.shared\.0\.conv\.", "proposal_generator.rpn_head.conv."),
    (r"^proposer\.layers\.class_layer\.", "proposal_generator.rpn_head.objectness_logits."),
    (r"^proposer\.layers\.box_layer\.", "proposal_generator.rpn_head.anchor_deltas."),
    (r"^roi_head\.stage\.box_head\.first\.", "roi_heads.box_head.fc1."),
    (r"^roi_head\.stage\.box_head\.second\.", "roi_heads.box_head.fc2."),
    (r"^roi_head\.stage\.class_layer\.", "roi_heads.box_predictor.cls_score."),
    (r"^roi_head\.stage\.box_layer\.", "roi_heads.box_predictor.bbox_pred."),
]


def save_as_yolov8n(path: Path) -> None:
    """Save yolov8n by Ultralytics' names."""
    layers = ultralytics_source._YOLOV8_LAYERS
    numbers = [(rf"^{re.escape(name)}\.", f"model.{number}.") for number, name in layers.items()]
    torch.save(_renamed(_model("yolov8n").state_dict(), [*numbers, *_YOLOV8]), path)


def save_as_mmdet_retinanet(path: Path) -> None:
    """Save RetinaNet by MMDetection's names."""
    torch.save({"state_dict": _renamed(_model("mmdet_retinanet").state_dict(), _RETINANET)}, path)


def save_as_detectron2_faster_rcnn(path: Path) -> None:
    """Save Faster R-CNN by Detectron2's names: arrays in a pickle, and tensors in a .pth beside."""
    tensors = _renamed(_model("detectron2_faster_rcnn").state_dict(), _FASTER_RCNN)
    path.write_bytes(pickle.dumps({"model": {n: t.numpy() for n, t in tensors.items()}}))
    torch.save({"model": tensors}, path.with_suffix(".pth"))


def _model(page: str) -> nn.Module:
    torch.manual_seed(0)
    model = compose("train", [f"model={page}"])["model"]
    return assembly.build_detector(model, _CLASSES, fetch_weights=False)


def _renamed(
    tensors: Mapping[str, Tensor], names: Sequence[tuple[str, Replacement]]
) -> dict[str, Tensor]:
    def renamed(name: str) -> str:
        for pattern, replacement in names:
            name = re.sub(pattern, replacement, name)
        return name

    return {renamed(name): value for name, value in tensors.items()}
