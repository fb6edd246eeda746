"""RetinaNet's anchors: several boxes in each cell."""

from __future__ import annotations

from typing import Annotated

import torch
from annotated_types import MinLen
from torch import Tensor

from detkit.priors.grid import PriorGrid
from detkit.registry import Fraction, PositiveFloat, PositiveInt, Wired, register
from detkit.structures import FeatureSpec


@register("priors", "anchors")
class Anchors(PriorGrid):
    """Anchor boxes of several sizes and ratios in each cell, proportional to the stride.

    Paper: Focal Loss for Dense Object Detection (Lin et al., 2017), section 4,
        https://arxiv.org/abs/1708.02002

    Args:
        scale: Side of a level's smallest square anchor, in strides.
        octaves: Number of sizes per level, each 2^(1/octaves) times the one before.
        ratios: Height over width of the anchors of each size.
        offset: Position of the centre in its cell: 0 is the top left corner, 0.5 the middle.
        rounded: Cut sides and round corners to whole pixels, as torchvision does.
    """

    def __init__(
        self,
        *,
        feature_specs: Wired[list[FeatureSpec]],
        scale: PositiveFloat = 4.0,
        octaves: PositiveInt = 3,
        ratios: Annotated[tuple[PositiveFloat, ...], MinLen(1)] = (0.5, 1.0, 2.0),
        offset: Fraction = 0.5,
        rounded: bool = False,
    ) -> None:
        shape = torch.tensor(ratios).sqrt()  # height of a box of area 1
        cells = []
        for spec in feature_specs:
            sides = [spec.stride * scale * 2 ** (octave / octaves) for octave in range(octaves)]
            # Add a small term because a product of floats may fall short: 100 * 1.15 < 115.
            whole = [float(int(side + 1e-6)) for side in sides] if rounded else sides
            cells.append(_boxes(torch.tensor(whole), shape, rounded))
        super().__init__(cells=cells, specs=feature_specs, offset=offset)


def _boxes(sides: Tensor, shape: Tensor, rounded: bool) -> Tensor:
    """Boxes around (0, 0), ratio by ratio, (A, 4)."""
    heights = (shape[:, None] * sides[None, :]).flatten()
    widths = ((1 / shape)[:, None] * sides[None, :]).flatten()
    boxes = torch.stack([-widths, -heights, widths, heights], dim=1) / 2
    return boxes.round() if rounded else boxes
