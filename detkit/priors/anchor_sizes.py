"""Anchors whose sizes are listed, as YOLO has them from clustering."""

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
# Width and height of the clusters of COCO's boxes by stride, YOLOv3 section 2.3.
_COCO: dict[int, tuple[Size, ...]] = {
    8: ((10, 13), (16, 30), (33, 23)),
    16: ((30, 61), (62, 45), (59, 119)),
    32: ((116, 90), (156, 198), (373, 326)),
}


@register("priors", "anchor_sizes")
class AnchorSizes(PriorGrid):
    """Anchor boxes of listed widths and heights, in the middle of each cell.

    `detkit data anchors DATA` finds those that fit a data set and prints them as YAML.

    Paper: YOLOv3: An Incremental Improvement (Redmon and Farhadi, 2018), section 2.3,
        https://arxiv.org/abs/1804.02767; clustering in YOLO9000, https://arxiv.org/abs/1612.08242

    Args:
        sizes: For each level, fine to coarse, the [width, height] of its anchors in pixels; null
            takes those of YOLOv3 for COCO, three for each level. A level whose stride is not 8, 16
            or 32 has those of the nearest one, larger or smaller as its stride is.
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
                f"priors 'anchor_sizes': `sizes` has {len(sizes)} levels and "
                f"{len(feature_specs)} come in (strides {strides}): list the anchors of each, fine "
                "to coarse, or set `sizes` to null."
            )
        given = sizes or [coco_sizes(spec.stride) for spec in feature_specs]
        halves = [torch.tensor(level, dtype=torch.float32) / 2 for level in given]
        cells = [torch.cat([-half, half], dim=1) for half in halves]
        super().__init__(cells=cells, specs=feature_specs, offset=0.5)


def coco_sizes(stride: int) -> Sequence[Size]:
    """The anchors for COCO of a level, (width, height)."""
    nearest = min(_COCO, key=lambda known: max(known / stride, stride / known))
    factor = stride / nearest
    return [(width * factor, height * factor) for width, height in _COCO[nearest]]
