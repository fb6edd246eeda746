"""Centre shifts and log sizes relative to priors."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from detkit.ops.boxes import EPSILON
from detkit.registry import PositiveFloat, register
from detkit.structures import Priors

# The largest factor by which a code may enlarge a prior: exp of more overflows in half precision
# and 1000 / 16 is the value that Detectron and torchvision share.
LARGEST_LOG = math.log(1000 / 16)


@register("box_coder", "delta")
class DeltaCoder:
    """Centre shifts in prior sizes and logarithms of the size ratios.

    Paper: Rich feature hierarchies for accurate object detection (Girshick et al., 2014),
        appendix C, https://arxiv.org/abs/1311.2524

    Args:
        stds: Codes are divided by these four; 0.1, 0.1, 0.2, 0.2 are the weights 10, 10, 5, 5.
    """

    code_size = 4

    def __init__(
        self,
        *,
        stds: tuple[PositiveFloat, PositiveFloat, PositiveFloat, PositiveFloat] = (1, 1, 1, 1),
    ) -> None:
        self.stds = stds

    def encode(self, boxes: Tensor, priors: Priors) -> Tensor:
        """Boxes (..., 4) to codes (..., 4)."""
        centres, sides = _centres_and_sides(boxes)
        prior_centres, prior_sides = _centres_and_sides(priors.boxes)
        shifts = (centres - prior_centres) / prior_sides
        ratios = (sides / prior_sides).clamp(min=EPSILON)  # an empty box has a finite code
        return torch.cat([shifts, ratios.log()], dim=-1) / self._stds(boxes)

    def decode(self, codes: Tensor, priors: Priors) -> Tensor:
        """Codes (..., 4) to boxes (..., 4)."""
        codes = codes * self._stds(codes)
        prior_centres, prior_sides = _centres_and_sides(priors.boxes)
        centres = prior_centres + codes[..., :2] * prior_sides
        sides = prior_sides * codes[..., 2:].clamp(max=LARGEST_LOG).exp()
        return torch.cat([centres - sides / 2, centres + sides / 2], dim=-1)

    def _stds(self, like: Tensor) -> Tensor:
        return torch.tensor(self.stds, dtype=like.dtype, device=like.device)


def _centres_and_sides(boxes: Tensor) -> tuple[Tensor, Tensor]:
    sides = boxes[..., 2:] - boxes[..., :2]
    return boxes[..., :2] + sides / 2, sides
