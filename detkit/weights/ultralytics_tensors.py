"""Ultralytics' tensor names by detkit's."""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor

from detkit.weights.yolo_outputs import separate_outputs

PRIORS = 3  # of a cell in YOLOv5 with anchors
# The numbered convolutions of each kind of module.
_CSP_STAGE = {"cv1": "entry", "cv2": "past", "cv3": "join"}
_OTHER_STAGE = {"cv1": "entry", "cv2": "join"}
_RESIDUAL = {"cv1": "squeeze", "cv2": "spread"}
_WORDS = {
    "m": "blocks",
    "bn": "norm",
    "attn": "attention",
    "qkv": "projection",
    "pe": "positions",
    "proj": "output",
    "ffn": "feed_forward",
}
_THIRD = ".cv3.conv.weight"  # which only CSP stages have


def renamed_tensors(
    numbered: Mapping[str, Tensor], layers: Mapping[int, str], head: int
) -> dict[str, Tensor]:
    """Rename the tensors of a network.

    Args:
        numbered: Tensors by Ultralytics' names, which start with the number of their layer.
        layers: detkit's name of each layer except the head.
        head: The number of the head.
    """
    csp_stages = {name.removesuffix(_THIRD) for name in numbered if name.endswith(_THIRD)}
    tensors: dict[str, Tensor] = {}
    for name, value in numbered.items():
        number, _, rest = name.partition(".")
        if int(number) == head:
            tensors |= _head_tensors(rest, value)
        elif int(number) in layers:
            inner = _layer_name(name.split("."), csp_stages)
            tensors[f"{layers[int(number)]}.{inner}"] = value
        else:
            tensors[name] = value
    return tensors


def _layer_name(words: list[str], csp_stages: set[str]) -> str:
    """The name of a tensor inside its layer, from its words with the layer's number."""
    renamed = []
    for depth, word in enumerate(words[1:], start=1):
        if ".".join(words[:depth]) in csp_stages:
            convolutions = _CSP_STAGE
        else:
            convolutions = _RESIDUAL if words[depth - 2] == "m" else _OTHER_STAGE
        renamed.append(convolutions.get(word) or _WORDS.get(word, word))
    return ".".join(renamed)


def _head_tensors(name: str, value: Tensor) -> dict[str, Tensor]:
    """A tensor of the head; anchors become a setting, and the bins of a distribution are fixed."""
    if name == "dfl.conv.weight" or name.startswith("anchor"):
        return {}
    match = re.fullmatch(r"m\.(\d)\.(weight|bias)", name)
    if match:
        return separate_outputs(int(match[1]), value, PRIORS, match[2])
    name = re.sub(r"^cv2\.(\d)\.2\.", r"box_layers.\1.", name)
    name = re.sub(r"^cv3\.(\d)\.2\.", r"class_layers.\1.", name)
    name = re.sub(r"^cv2\.", "box_towers.", name)
    name = re.sub(r"^cv3\.", "class_towers.", name)
    return {f"head.layers.{name.replace('.bn.', '.norm.')}": value}
