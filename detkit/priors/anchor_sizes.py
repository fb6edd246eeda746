"""Anchors with explicit sizes, such as YOLO's from clustering."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import torch
from annotated_types import MinLen

from detkit.errors import UserError
from detkit.priors.grid import PriorGrid
from detkit.registry import PositiveFloat, Wired, register
from detkit.structures import FeatureSpec

Size = tuple[PositiveFloat, PositiveFloat]
# Clustered (width, height) of COCO's boxes by stride, YOLOv3 section 2.3.
_COCO: dict[int, tuple[Size, ...]] = {
    8: ((10, 13), (16, 30), (33, 23)),
    16: ((30, 61), (62, 45), (59, 119)),
    32: ((116, 90), (156, 198), (373, 326)),
}


@register("priors", "anchor_sizes")
class AnchorSizes(PriorGrid):
    """Anchor boxes of explicit widths and heights, at the centre of each cell.

    `detkit data anchors DATA` finds sizes that fit a data set and prints them as YAML.

    Paper: YOLOv3: An Incremental Improvement (Redmon and Farhadi, 2018), section 2.3,
        https://arxiv.org/abs/1804.02767; clustering in YOLO9000, https://arxiv.org/abs/1612.08242

    Args:
        sizes: [width, height] of the anchors of each level in pixels, fine to coarse; null takes
            YOLOv3's three per level for COCO. A level with a stride other than 8, 16 or 32 takes
            the sizes of the nearest stride, scaled to its own.
    """

    def __init__(
        self,
        *,
        feature_specs: Wired[list[FeatureSpec]],
        sizes: Annotated[tuple[Annotated[tuple[Size, ...], MinLen(1)], ...], MinLen(1)]
        | None = None,
    ) -> None:
        if sizes is not None and len(sizes) != len(feature_specs):
            strides = ", ".join(str(spec.stride) for spec in feature_specs)
            raise UserError(
                f"priors 'anchor_sizes': `sizes` has {len(sizes)} levels, but the neck gives "
                f"{len(feature_specs)} (strides {strides}): list the anchors of each, fine "
                "to coarse, or set `sizes` to null."
            )
        level_sizes = sizes or [coco_sizes(spec.stride) for spec in feature_specs]
        halves = [torch.tensor(level, dtype=torch.float32) / 2 for level in level_sizes]
        cells = [torch.cat([-half, half], dim=1) for half in halves]
        super().__init__(cells=cells, specs=feature_specs, offset=0.5)


def coco_sizes(stride: int) -> Sequence[Size]:
    """(width, height) of COCO's anchors for a level's stride."""
    nearest = min(_COCO, key=lambda listed: max(listed / stride, stride / listed))
    factor = stride / nearest
    return [(width * factor, height * factor) for width, height in _COCO[nearest]]
