"""A transform: one step of augmentation."""

from __future__ import annotations

import torch

from detkit import register
from detkit.registry import Fraction
from detkit.structures import Sample


@register("transform", "my_transform")
class MyTransform:
    """Brightens or darkens the image at random; boxes do not change.

    A transform that moves boxes also changes `sample.target`: `target.with_boxes(boxes, matrix)`
    moves masks by the same 3x3 matrix. It sets `to_image` to `matrix @ sample.to_image`.

    Args:
        strength: The factor is drawn from 1 - strength to 1 + strength.
    """

    def __init__(self, *, strength: Fraction = 0.3) -> None:
        self.strength = strength

    def __call__(self, sample: Sample, generator: torch.Generator) -> Sample:
        """Draw random numbers only from `generator`, so that runs are reproducible."""
        draw = float(torch.rand((), generator=generator))  # 0..1
        factor = 1 + self.strength * (2 * draw - 1)
        changed = (sample.image.float() * factor).round().clamp(max=255)  # (3, H, W)
        return sample.replace(image=changed.to(torch.uint8))
