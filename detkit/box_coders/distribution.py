"""Distances to the four sides as distributions."""

from __future__ import annotations

from typing import Annotated

import torch
from annotated_types import Ge
from torch import Tensor

from detkit.ops.boxes import box_centres
from detkit.registry import register
from detkit.structures import Priors

_LEAST = 1e-8  # lower limit of a probability, which keeps its logarithm finite


@register("box_coder", "distribution")
class DistributionCoder:
    """A distribution over the distances 0, 1, ... strides for each side; the box is its mean.

    A code holds the logits of four distributions: left, top, right and bottom. Distances are
    limited to 0 to `bins` - 1 strides from the prior's centre. Losses on boxes see the mean;
    `distribution_focal` sees the logits.

    Paper: Generalized Focal Loss: Learning Qualified and Distributed Bounding Boxes for Dense
        Object Detection (Li et al., 2020), https://arxiv.org/abs/2006.04388

    Args:
        bins: Number of distances per side; 17 in the paper, 16 in later detectors.
    """

    def __init__(self, *, bins: Annotated[int, Ge(2)] = 16) -> None:
        self.bins = bins
        self.code_size = 4 * bins

    def distances(self, boxes: Tensor, priors: Priors) -> Tensor:
        """Boxes (..., 4) to distances (..., 4) of their sides, in strides, within 0..bins-1."""
        centres = box_centres(priors.boxes)
        pixels = torch.cat([centres - boxes[..., :2], boxes[..., 2:] - centres], dim=-1)
        return (pixels / priors.stride[..., None]).clamp(0, self.bins - 1)

    def encode(self, boxes: Tensor, priors: Priors) -> Tensor:
        """Boxes (..., 4) to codes (..., 4 * bins): log shares of the two nearest bins."""
        distances = self.distances(boxes, priors)[..., None]  # (..., 4, 1)
        shares = 1 - (distances - self._values_on(distances)).abs()  # (..., 4, bins)
        return shares.clamp(min=_LEAST).log().flatten(-2)

    def decode(self, codes: Tensor, priors: Priors) -> Tensor:
        """Codes (..., 4 * bins) to boxes (..., 4)."""
        logits = codes.to(priors.boxes.dtype).reshape(*codes.shape[:-1], 4, self.bins)
        distances = logits.softmax(dim=-1) @ self._values_on(logits)  # (..., 4)
        distances = distances * priors.stride[..., None]
        centres = box_centres(priors.boxes)
        return torch.cat([centres - distances[..., :2], centres + distances[..., 2:]], dim=-1)

    def _values_on(self, like: Tensor) -> Tensor:
        return torch.arange(self.bins, dtype=like.dtype, device=like.device)
