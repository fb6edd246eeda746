"""detkit's names for the tensors in other libraries' weight files."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection

_MASK = "roi_head.mask_head."
# torchvision's RetinaNet, FCOS, Faster and Mask R-CNN, all versions, to detkit's detectors.
_DETECTOR_NAMES: list[tuple[str, str | Callable[[re.Match[str]], str]]] = [
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
    # The published Mask R-CNN has torchvision's names from before version 0.13.
    (r"^roi_heads\.mask_head\.mask_fcn(\d)\.", lambda m: f"{_MASK}convs.{int(m[1]) - 1}.conv."),
    (r"^roi_heads\.mask_head\.(\d+)\.0\.", rf"{_MASK}convs.\1.conv."),
    (r"^roi_heads\.mask_head\.(\d+)\.1\.", rf"{_MASK}convs.\1.norm."),
    (r"^roi_heads\.mask_predictor\.conv5_mask\.", f"{_MASK}upsampling."),
    (r"^roi_heads\.mask_predictor\.mask_fcn_logits\.", f"{_MASK}mask_layer."),
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
_ONLY_OLD = "head.classification_head.conv.2.weight"  # in FCOS, this index is a ReLU
# Layers that only detectors have, by library.
_DETECTOR_LAYERS = {
    "MMDetection": re.compile(r"^(bbox_head|rpn_head|mask_head|roi_head\.\w+_head)\."),
    "Detectron2": re.compile(r"^(backbone\.bottom_up|proposal_generator|roi_heads\.box_pred)"),
    "Ultralytics": re.compile(r"^(model\.)+\d+\.(cv[23]\.\d|m\.\d+\.(weight|bias)$)"),
    "the DETR family": re.compile(r"^(model\.)?(class_labels_classifier|(class|bbox)_embed)\."),
}
# Of detkit's backbones, also inside others, of torchvision's detectors and of timm's extractors.
_BACKBONE_PREFIXES = re.compile(r"^(?:(?:backbone|body|model)\.)+")
_WRAPPINGS = re.compile(r"^(?:module\.|_orig_mod\.)+")  # prefixes of parallel and compiled models


def unwrapped_name(name: str) -> str:
    """Remove the prefixes of data parallelism and torch.compile from a tensor's name."""
    return _WRAPPINGS.sub("", name)


def present_names(names: Collection[str]) -> dict[str, str]:
    """Map each name in a torchvision detector's file to torchvision's current name.

    The files of its RetinaNet are older than the blocks of its current model. In other files, a
    single name is enough to recognise an old tensor.
    """
    if _ONLY_OLD not in names:
        return {name: name for name in names}
    return {
        name: _OLD_BLOCK.sub(lambda match: f"{match[1]}.{int(match[2]) // 2}.0.{match[3]}", name)
        for name in names
    }


def name_of_torchvision_detector(name: str) -> str:
    """Translate a tensor name of torchvision's detectors; unknown names stay."""
    for pattern, replacement in _DETECTOR_NAMES:
        name = re.sub(pattern, replacement, name)
    match = _IN_LINE.search(name)
    if match is None:
        return name
    block, layer = divmod(int(match[1]), 3)
    return f"{name[: match.start()]}_tower.{block}.{('conv', 'norm')[layer]}.{match[2]}"


def simple_backbone_name(name: str) -> str:
    """Reduce a backbone's tensor name to a form that torchvision, timm and detkit share.

    timm replaces some dots by `_` when it extracts feature maps, and detkit stores such a model as
    `model`; torchvision's detectors store theirs as `body`.
    """
    return _BACKBONE_PREFIXES.sub("", name).replace(".", "_")


def library_of_detector(names: Collection[str]) -> str | None:
    """The library whose detector a file holds, judged by layers that only its detectors have."""
    for library, layer in _DETECTOR_LAYERS.items():
        if any(layer.match(name) for name in names):
            return library
    return None
