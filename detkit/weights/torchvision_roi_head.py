"""The class layers of torchvision's RoI heads in detkit's order."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

REGION_CLASS_LAYER = "roi_head.stage.class_layer.weight"
MASK_LAYER = "roi_head.mask_head.mask_layer."
_CLASS_LAYER, _BOX_LAYER = "roi_head.stage.class_layer.", "roi_head.stage.box_layer."


def background_last(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Reorder background and box codes of a two-stage detector as detkit has them.

    torchvision has background as the first class, with a box and a mask, and groups codes by box;
    detkit has background last, without a box or a mask, and groups codes by code.

    Args:
        tensors: By detkit's names.
    """
    moved = dict(tensors)
    classes = len(tensors[REGION_CLASS_LAYER])
    for name, value in tensors.items():
        if name.startswith(_CLASS_LAYER):
            moved[name] = torch.cat([value[1:], value[:1]])
        elif name.startswith(MASK_LAYER):
            moved[name] = value[1:]
        elif name.startswith(_BOX_LAYER):
            codes = value.reshape(classes, -1, *value.shape[1:])  # (C + 1, 4, ...)
            moved[name] = codes[1:].transpose(0, 1).flatten(0, 1)
    return moved
