"""What detkit calls the tensors that other libraries' weight files hold."""

from __future__ import annotations

import re

# torchvision's RetinaNet and FCOS, both versions, to detkit's detectors of the same name.
_DETECTOR_NAMES = [
    (r"^backbone\.body\.", "backbone."),
    (r"^backbone\.fpn\.inner_blocks\.(\d+)\.0\.", r"neck.lateral.\1.conv."),
    (r"^backbone\.fpn\.layer_blocks\.(\d+)\.0\.", r"neck.output.\1.conv."),
    (r"^backbone\.fpn\.extra_blocks\.", "neck."),
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
_WRAPPINGS = re.compile(r"^(?:module\.|_orig_mod\.)+")  # of parallel and compiled models


def unwrapped_name(name: str) -> str:
    """A tensor's name without what data parallelism and torch.compile put before it."""
    return _WRAPPINGS.sub("", name)


def name_of_torchvision_detector(name: str) -> str:
    """What detkit calls a tensor of torchvision's RetinaNet or FCOS; others keep their name."""
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
