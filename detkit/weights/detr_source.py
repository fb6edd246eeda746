"""Weight files of DETR, of its authors and of transformers, by detkit's names."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from pathlib import Path

from torch import Tensor

from detkit.weights.class_names import COCO_LOGITS, coco_slots
from detkit.weights.weight_source import CLASS_LAYER, WeightSource

# A tensor that each layout has, and its relatives (Deformable and Conditional DETR) have not.
_MARKS = (
    "transformer.decoder.layers.0.multihead_attn.in_proj_weight",  # of the authors
    "model.decoder.layers.0.encoder_attn.k_proj.weight",  # of transformers
)
_CLASS_LAYERS = ("class_embed.weight", "class_labels_classifier.weight")
_LAYERS = "head.layers."
_NAMES = [
    # The backbones: torchvision's names, timm's equal ones, and transformers' own.
    (r"^backbone\.0\.body\.", "backbone."),
    (r"^model\.backbone\.(?:conv_encoder\.)?model\.", "backbone."),
    (r"^backbone\.embedder\.embedder\.convolution\.", "backbone.conv1."),
    (r"^backbone\.embedder\.embedder\.normalization\.", "backbone.bn1."),
    (r"^(backbone\.)encoder\.stages\.(\d+)\.layers\.(\d+)\.", r"\1stage\2.\3."),
    (r"^(backbone\.stage.*)shortcut\.convolution\.", r"\1downsample.0."),
    (r"^(backbone\.stage.*)shortcut\.normalization\.", r"\1downsample.1."),
    # The parts around the transformer.
    (r"^(?:model\.input_projection|input_proj)\.", "neck.project.0.conv."),
    (r"^(?:model\.query_position_embeddings|query_embed)\.weight$", _LAYERS + "queries"),
    (r"^(?:class_labels_classifier|class_embed)\.", _LAYERS + "class_layer."),
    (r"^bbox_(?:predictor|embed)\.layers\.0\.", _LAYERS + "box_tower.0."),
    (r"^bbox_(?:predictor|embed)\.layers\.1\.", _LAYERS + "box_tower.2."),
    (r"^bbox_(?:predictor|embed)\.layers\.2\.", _LAYERS + "box_layer."),
    # The transformer's layers.
    (r"^(?:model|transformer)\.decoder\.(?:layernorm|norm)\.", "decoder_norm."),
    (r"^(?:model|transformer)\.(encoder|decoder)\.layers\.", r"\1."),
    (r"^(decoder\.\d+\.)(?:encoder_attn_layer_norm|norm2)\.", r"\1image_norm."),
    (r"^(decoder\.\d+\.)(?:encoder_attn|multihead_attn)\.", r"\1image_attention."),
    (r"^(decoder\.\d+\.)(?:self_attn_layer_norm|norm1)\.", r"\1self_norm."),
    (r"^(decoder\.\d+\.)self_attn\.", r"\1self_attention."),
    (r"^(encoder\.\d+\.)(?:self_attn_layer_norm|norm1)\.", r"\1attention_norm."),
    (r"^(encoder\.\d+\.)self_attn\.", r"\1attention."),
    (r"^((?:en|de)coder\.\d+\.)(?:final_layer_norm|norm2|norm3)\.", r"\1output_norm."),
    (r"^((?:en|de)coder\.\d+\.)(?:(?:mlp\.)?fc1|linear1)\.", r"\1feed_forward.0."),
    (r"^((?:en|de)coder\.\d+\.)(?:(?:mlp\.)?fc2|linear2)\.", r"\1feed_forward.3."),
    (r"attention\.q_proj\.", "attention.query."),
    (r"attention\.k_proj\.", "attention.key."),
    (r"attention\.v_proj\.", "attention.value."),
    (r"attention\.(?:o_proj|out_proj)\.", "attention.output."),
    (r"^(encoder\.|decoder\.|decoder_norm\.)", _LAYERS + r"transformer.\1"),
]
_BLOCK = re.compile(r"^backbone\.stage(\d+)\.(\d+)\.layer\.(\d+)\.(convolution|normalization)\.")
_STAGE = re.compile(r"^backbone\.stage(\d+)\.")
_JOINT = "attention.in_proj_"


def is_detr(names: Collection[str]) -> bool:
    """Whether these tensor names come from DETR itself, not from one of its relatives."""
    return any(mark in names for mark in _MARKS) and any(name in names for name in _CLASS_LAYERS)


def read_detr(path: Path, named_tensors: Mapping[str, Tensor]) -> WeightSource:
    """Convert DETR of its authors or of transformers.

    Args:
        path: The file.
        named_tensors: Its tensors by either layout's names.
    """
    tensors = tensors_of_detr(named_tensors)
    classes = len(tensors[CLASS_LAYER]) - 1  # background comes last, as in detkit
    slots = coco_slots() if classes == COCO_LOGITS else None
    kind = f"DETR{', with the classes of COCO' if slots else ''}"
    return WeightSource(path, kind, tensors, logits=classes, slots=slots, page="detr")


def tensors_of_detr(named_tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename DETR's tensors; torch's joint projections become one each."""
    tensors: dict[str, Tensor] = {}
    for original, value in named_tensors.items():
        name = _renamed(original)
        if _JOINT in name:
            for projection, part in zip(("query", "key", "value"), value.chunk(3), strict=True):
                tensors[name.replace(_JOINT, f"attention.{projection}.")] = part
        else:
            tensors[name] = value
    return tensors


def _renamed(name: str) -> str:
    for pattern, replacement in _NAMES:
        name = re.sub(pattern, replacement, name)
    name = _BLOCK.sub(_name_in_block, name)
    return _STAGE.sub(lambda match: f"backbone.layer{int(match[1]) + 1}.", name)


def _name_in_block(match: re.Match[str]) -> str:
    layer = f"{'conv' if match[4] == 'convolution' else 'bn'}{int(match[3]) + 1}"
    return f"backbone.stage{match[1]}.{match[2]}.{layer}."
