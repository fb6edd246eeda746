"""All positives, and the background with the highest loss."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from detkit.registry import NonNegativeFloat, NonNegativeInt, register
from detkit.samplers.ranking import highest
from detkit.structures import BACKGROUND


@register("sampler", "hard_negatives")
class HardNegatives:
    """All positives of an image, and background with the highest loss in a fixed ratio to them.

    torchvision and MMDetection sample no background from an image without objects and so never
    learn from it; here such an image contributes `minimum` priors.

    Paper: SSD: Single Shot MultiBox Detector (Liu et al., 2016), section 2.2,
        https://arxiv.org/abs/1512.02325

    Args:
        ratio: Background priors per positive of the image, rounded down.
        minimum: Minimum number of background priors per image, if it has as many; 3 equals an image
            with one positive, 0 does as torchvision.
    """

    ranks_by: ClassVar = "losses"

    def __init__(self, *, ratio: NonNegativeFloat = 3.0, minimum: NonNegativeInt = 3) -> None:
        self.ratio = ratio
        self.minimum = minimum

    def __call__(self, matched: Tensor, values: Tensor) -> Tensor:
        """(B, P) and (B, P) to a mask (B, P)."""
        positive = matched >= 0
        counts = (positive.sum(dim=1) * self.ratio).long().clamp(min=self.minimum)  # (B,)
        # The largest count is only known on the device, so rank all priors.
        return positive | highest(values, matched == BACKGROUND, counts, matched.shape[1])
