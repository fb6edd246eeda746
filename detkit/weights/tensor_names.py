"""What detkit calls the tensors that other libraries' weight files hold."""

from __future__ import annotations

import re
from collections.abc import Collection

# torchvision's RetinaNet, FCOS and Faster R-CNN, all versions, to detkit's of the same name.
_DETECTOR_NAMES = [
    (r"^backbone\.body\.", "backbone."),
    (r"^backbone\.fpn\.inner_blocks\.(\d+)\.", r"neck.lateral.\1."),
    (r"^backbone\.fpn\.layer_blocks\.(\d+)\.", r"neck.output.\1."),
    (r"^(neck\.(?:lateral|output)\.\d+\.)(?:0\.)?(weight|bias)$", r"\1conv.\2"),
    (r"^(neck\.(?:lateral|output)\.\d+\.)1\.", r"\1norm."),
    (r"^backbone\.fpn\.extra_blocks\.", "neck.extra."),
    (r"^rpn\.head\.conv\.(\d+)\.0\.", r"proposer.layers.shared.\1.conv."),
    (r"^rpn\.head\.conv\.(weight|bias)$", r"proposer.layers.shared.0.conv.\1"),
    (r"^rpn\.head\.cls_logits\.", "proposer.layers.class_layer."),
    (r"^rpn\.head\.bbox_pred\.", "proposer.layers.box_layer."),
    (r"^roi_heads\.box_head\.fc6\.", "roi_head.stage.box_head.first."),
    (r"^roi_heads\.box_head\.fc7\.", "roi_head.stage.box_head.second."),
    (r"^roi_heads\.box_head\.(\d+)\.0\.", r"roi_head.stage.box_head.convs.\1.conv."),
    (r"^roi_heads\.box_head\.(\d+)\.1\.", r"roi_head.stage.box_head.convs.\1.norm."),
    (r"^roi_heads\.box_head\.5\.", "roi_head.stage.box_head.last."),
    (r"^roi_heads\.box_predictor\.cls_score\.", "roi_head.stage.class_layer."),
    (r"^roi_heads\.box_predictor\.bbox_pred\.", "roi_head.stage.box_layer."),
    (r"^head\.classification_head\.conv\.", "head.layers.class_tower."),
    (r"^head\.regression_head\.conv\.", "head.layers.box_tower."),
    (r"^head\.classification_head\.cls_logits\.", "head.layers.class_layer."),
    (r"^head\.regression_head\.bbox_reg\.", "head.layers.box_layer."),
    (r"^head\.regression_head\.bbox_ctrness\.", "head.layers.quality_layer."),
    (r"_tower\.(\d+)\.0\.", r"_tower.\1.conv."),  # RetinaNet: blocks of convolution and norm
    (r"_tower\.(\d+)\.1\.", r"_tower.\1.norm."),
]
# FCOS: convolution, norm and ReLU of all blocks in one line
_IN_LINE = re.compile(r"_tower\.(\d+)\.(weight|bias)$")
# RetinaNet before torchvision 0.13: convolution and ReLU of all blocks in one line
_OLD_BLOCK = re.compile(r"^(head\.\w+_head\.conv)\.(\d+)\.(weight|bias)$")
_ONLY_OLD = "head.classification_head.conv.2.weight"  # in FCOS, a ReLU stands there
# Layers that only a detector has, by the library whose names they carry.
_DETECTOR_LAYERS = {
    "MMDetection": re.compile(r"^(bbox_head|rpn_head|mask_head|roi_head\.\w+_head)\."),
    "Detectron2": re.compile(r"^(backbone\.bottom_up|proposal_generator|roi_heads\.box_pred)"),
    "Ultralytics": re.compile(r"^(model\.)+\d+\.(cv[23]\.\d|m\.\d+\.(weight|bias)$)"),
    "the DETR family": re.compile(r"^(model\.)?(class_labels_classifier|(class|bbox)_embed)\."),
}
_WRAPPINGS = re.compile(r"^(?:module\.|_orig_mod\.)+")  # of parallel and compiled models


def unwrapped_name(name: str) -> str:
    """A tensor's name without what data parallelism and torch.compile put before it."""
    return _WRAPPINGS.sub("", name)


def present_names(names: Collection[str]) -> dict[str, str]:
    """Each name of a torchvision detector's file to what torchvision calls the tensor today.

    The files of its RetinaNet are older than the blocks that its model now consists of; what is
    old in other files can be told tensor by tensor.
    """
    if _ONLY_OLD not in names:
        return {name: name for name in names}
    return {
        name: _OLD_BLOCK.sub(lambda found: f"{found[1]}.{int(found[2]) // 2}.0.{found[3]}", name)
        for name in names
    }


def name_of_torchvision_detector(name: str) -> str:
    """What detkit calls a tensor of torchvision's detectors; those it does not know keep theirs."""
    for pattern, replacement in _DETECTOR_NAMES:
        name = re.sub(pattern, replacement, name)
    found = _IN_LINE.search(name)
    if found is None:
        return name
    block, layer = divmod(int(found[1]), 3)
    return f"{name[: found.start()]}_tower.{block}.{('conv', 'norm')[layer]}.{found[2]}"


def simple_backbone_name(name: str) -> str:
    """A backbone's tensor as torchvision, timm and detkit agree to call it.

    timm writes `_` for some dots when it takes a model apart into feature maps, and detkit keeps
    such a model as `model`; torchvision's detectors keep theirs as `body`.
    """
    for prefix in ("backbone.", "body.", "model."):
        name = name.removeprefix(prefix)
    return name.replace(".", "_")


def library_of_detector(names: Collection[str]) -> str | None:
    """The library whose detector a file holds, by layers that only its detectors have."""
    for library, layer in _DETECTOR_LAYERS.items():
        if any(layer.match(name) for name in names):
            return library
    return None
