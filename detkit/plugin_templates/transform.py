"""A transform: one step of augmentation."""

from __future__ import annotations

import torch

from detkit import register
from detkit.registry import Fraction
from detkit.structures import Sample


@register("transform", "my_transform")
class MyTransform:
    """Makes the image lighter or darker at random; boxes stay where they are.

    A transform that moves boxes changes `sample.target` too, and multiplies its own 3x3 matrix to
    `sample.to_image` from the left.

    Args:
        strength: Factors are drawn from 1 - this to 1 + this.
    """

    def __init__(self, *, strength: Fraction = 0.3) -> None:
        self.strength = strength

    def __call__(self, sample: Sample, generator: torch.Generator) -> Sample:
        """Draw from `generator` only, so that a run repeats and can be resumed."""
        draw = float(torch.rand((), generator=generator))  # 0..1
        factor = 1 + self.strength * (2 * draw - 1)
        changed = (sample.image.float() * factor).round().clamp(max=255)  # (3, H, W)
        return sample.replace(image=changed.to(torch.uint8))
