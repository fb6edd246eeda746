"""Shifts of the corners relative to priors, with their variances."""

from __future__ import annotations

import torch
from torch import Tensor

from detkit.ops.boxes import box_sides
from detkit.ops.variances import LARGEST_LOG_VARIANCE
from detkit.registry import PositiveFloat, register
from detkit.structures import Priors


@register("box_coder", "corner_variance")
class CornerVarianceCoder:
    """Shifts of x1, y1, x2 and y2 in prior sizes, then the logarithm of the variance of each.

    The loss `kl` learns the variances, and the post-processor `variance_voting` uses them. As in
    the authors' code, variances are in the unit of the codes. An object has no variance: where
    boxes are encoded, its logarithm is 0.

    Paper: Bounding Box Regression with Uncertainty for Accurate Object Detection (He et al., 2019),
        section 3.1, https://arxiv.org/abs/1809.08545

    Args:
        std: Divisor of the four shifts.
    """

    code_size = 8

    def __init__(self, *, std: PositiveFloat = 0.1) -> None:
        self.std = std

    def encode(self, boxes: Tensor, priors: Priors) -> Tensor:
        """Boxes (..., 4) to codes (..., 8)."""
        shifts = (boxes - priors.boxes) / self._units(priors)
        return torch.cat([shifts, torch.zeros_like(shifts)], dim=-1)

    def decode(self, codes: Tensor, priors: Priors) -> Tensor:
        """Codes (..., 8) to boxes (..., 4)."""
        return priors.boxes + codes[..., :4] * self._units(priors)

    def variances(self, codes: Tensor) -> Tensor:
        """Codes (..., 8) to the variances (..., 4) of x1, y1, x2 and y2."""
        logarithms = codes[..., 4:].float()
        return logarithms.clamp(-LARGEST_LOG_VARIANCE, LARGEST_LOG_VARIANCE).exp()

    def _units(self, priors: Priors) -> Tensor:
        """(..., 4) pixels per unit of the shifts."""
        sides = box_sides(priors.boxes)
        return self.std * torch.cat([sides, sides], dim=-1)
