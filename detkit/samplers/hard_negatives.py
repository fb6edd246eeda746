"""All positives, and the background that the detector gets most wrong."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from detkit.registry import NonNegativeFloat, NonNegativeInt, register
from detkit.samplers.ranking import highest
from detkit.structures import BACKGROUND


@register("sampler", "hard_negatives")
class HardNegatives:
    """All positives of an image, and so many times as much background: that of the highest loss.

    torchvision and MMDetection take no background at all from an image without objects, so they
    never learn from it; here such an image gives `minimum` priors.

    Paper: SSD: Single Shot MultiBox Detector (Liu et al., 2016), section 2.2,
        https://arxiv.org/abs/1512.02325

    Args:
        ratio: Background priors for each positive of the image, rounded down.
        minimum: Background priors of an image at least, where it has as many; 3 is what an image
            with one positive has, 0 does as torchvision.
    """

    ranks_by: ClassVar = "losses"

    def __init__(self, *, ratio: NonNegativeFloat = 3.0, minimum: NonNegativeInt = 3) -> None:
        self.ratio = ratio
        self.minimum = minimum

    def __call__(self, matched: Tensor, values: Tensor) -> Tensor:
        """(B, P) and (B, P) to a mask (B, P)."""
        positive = matched >= 0
        counts = (positive.sum(dim=1) * self.ratio).long().clamp(min=self.minimum)  # (B,)
        # How many the fullest image wants is known on the device only, so all are ranked.
        return positive | highest(values, matched == BACKGROUND, counts, matched.shape[1])
