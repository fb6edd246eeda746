"""Centre shifts and log sizes relative to priors."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from detkit.ops.boxes import EPSILON, box_sides
from detkit.registry import PositiveFloat, register
from detkit.structures import Priors

# A code enlarges a prior at most 62.5 times. The limit is from Detectron, where a 16 pixel anchor
# could grow to 1000 pixels. Without it, an untrained head overflows exp.
LARGEST_LOG = math.log(1000 / 16)
_NO_SCALING = (1.0, 1.0, 1.0, 1.0)


@register("box_coder", "delta")
class DeltaCoder:
    """Centre shifts in prior sizes and logarithms of the size ratios.

    Paper: Rich feature hierarchies for accurate object detection (Girshick et al., 2014),
        appendix C, https://arxiv.org/abs/1311.2524

    Args:
        stds: Divisors of the four codes; 0.1, 0.1, 0.2, 0.2 correspond to weights 10, 10, 5, 5.
    """

    code_size = 4

    def __init__(
        self,
        *,
        stds: tuple[PositiveFloat, PositiveFloat, PositiveFloat, PositiveFloat] = _NO_SCALING,
    ) -> None:
        self.stds = stds
        self._stds: dict[tuple[torch.dtype, torch.device], Tensor] = {}

    def encode(self, boxes: Tensor, priors: Priors) -> Tensor:
        """Boxes (..., 4) to codes (..., 4)."""
        centres, sides = _centres_and_sides(boxes)
        prior_centres, prior_sides = _centres_and_sides(priors.boxes)
        shifts = (centres - prior_centres) / prior_sides
        ratios = (sides / prior_sides).clamp(min=EPSILON)  # keeps the code of an empty box finite
        codes = torch.cat([shifts, ratios.log()], dim=-1)
        return codes if self.stds == _NO_SCALING else codes / self._stds_on(codes)

    def decode(self, codes: Tensor, priors: Priors) -> Tensor:
        """Codes (..., 4) to boxes (..., 4)."""
        codes = codes if self.stds == _NO_SCALING else codes * self._stds_on(codes)
        prior_centres, prior_sides = _centres_and_sides(priors.boxes)
        centres = prior_centres + codes[..., :2] * prior_sides
        sides = prior_sides * codes[..., 2:].clamp(max=LARGEST_LOG).exp()
        return torch.cat([centres - sides / 2, centres + sides / 2], dim=-1)

    def _stds_on(self, like: Tensor) -> Tensor:
        if torch.compiler.is_compiling() or torch.compiler.is_exporting():
            return torch.tensor(self.stds, dtype=like.dtype, device=like.device)
        key = like.dtype, like.device
        if key not in self._stds:  # a copy to an accelerator in each step would make the host wait
            with torch.inference_mode(False):
                self._stds[key] = torch.tensor(self.stds, dtype=like.dtype, device=like.device)
        return self._stds[key]


def _centres_and_sides(boxes: Tensor) -> tuple[Tensor, Tensor]:
    sides = box_sides(boxes)
    return boxes[..., :2] + sides / 2, sides
