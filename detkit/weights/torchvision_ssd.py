"""torchvision's SSD and SSDlite by detkit's names, with background as the last class."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping

from torch import Tensor

_MARK = "head.classification_head.module_list."
_VGG_MARK = "backbone.scale_weight"
_CLASS_LAYERS, _BOX_LAYERS = "head.layers.class_layers.", "head.layers.box_layers."
_CODE_SIZE = 4
_HEAD_NAMES = {
    r"head\.classification_head\.module_list\.": _CLASS_LAYERS,
    r"head\.regression_head\.module_list\.": _BOX_LAYERS,
}
# torchvision cuts VGG's layers in two at the fourth pooling, which is layer 23.
_SSD_NAMES = {
    **_HEAD_NAMES,
    r"backbone\.scale_weight": "backbone.scale",
    r"backbone\.extra\.0\.7\.1\.": "backbone.fc6.",
    r"backbone\.extra\.0\.7\.3\.": "backbone.fc7.",
    **{rf"backbone\.extra\.0\.{at}\.": f"backbone.features.{23 + at}." for at in (1, 3, 5)},
    **{rf"backbone\.extra\.{at + 1}\.0\.": f"neck.extra.{at}.squeeze.conv." for at in range(4)},
    **{rf"backbone\.extra\.{at + 1}\.2\.": f"neck.extra.{at}.conv." for at in range(4)},
}
# It cuts MobileNetV3's inside block 13, after the layer that widens.
_LITE_NAMES = {
    **_HEAD_NAMES,
    r"backbone\.extra\.": "neck.extra.",
    r"backbone\.features\.0\.13\.": "backbone.features.13.block.0.",
    r"backbone\.features\.0\.": "backbone.features.",
    r"backbone\.features\.1\.0\.": "backbone.features.13.block.",
    **{rf"backbone\.features\.1\.{at}\.": f"backbone.features.{13 + at}." for at in (1, 2, 3)},
}


def is_torchvision_ssd(names: Collection[str]) -> bool:
    """Whether these tensor names come from torchvision's SSD or SSDlite."""
    return any(name.startswith(_MARK) for name in names)


def page_of_ssd(names: Collection[str]) -> str:
    """The page of conf/model that fits, judged by torchvision's tensor names."""
    return "torchvision_ssd300" if _VGG_MARK in names else "torchvision_ssdlite"


def tensors_of_ssd(named_tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Rename torchvision's tensors, and move background behind the other logits of each prior."""
    table = _SSD_NAMES if _VGG_MARK in named_tensors else _LITE_NAMES
    tensors = {_renamed(name, table): value for name, value in named_tensors.items()}
    logits = logits_of_ssd(tensors)
    for name, value in tensors.items():
        if name.startswith(_CLASS_LAYERS) and _is_last(name):
            tensors[name] = _background_last(value, logits)
    return tensors


def logits_of_ssd(tensors: Mapping[str, Tensor]) -> int:
    """Count the logits of each prior, background included; names are detkit's."""
    rows = [
        next(len(v) for name, v in tensors.items() if name.startswith(kind) and _is_last(name))
        for kind in (_CLASS_LAYERS, _BOX_LAYERS)
    ]
    return rows[0] * _CODE_SIZE // rows[1]


def _renamed(name: str, table: Mapping[str, str]) -> str:
    for start, ours in table.items():
        if re.match(start, name):
            return re.sub(f"^{start}", ours, name)
    return name


def _is_last(name: str) -> bool:
    """Whether a tensor belongs to the predicting layer: SSD's only one, SSDlite's second."""
    return re.fullmatch(r"head\.layers\.\w+\.\d+\.(1\.)?(weight|bias)", name) is not None


def _background_last(value: Tensor, logits: int) -> Tensor:
    """Move the first of each prior's K rows behind the others; the value is (A * K, ...)."""
    return value.reshape(-1, logits, *value.shape[1:]).roll(-1, dims=1).flatten(0, 1)
