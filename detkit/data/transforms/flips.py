"""Transforms that mirror the image."""

from __future__ import annotations

import torch

from detkit.data.transforms.geometry import chance, flip
from detkit.registry import Fraction, register
from detkit.structures import Sample


@register("transform", "horizontal_flip")
class HorizontalFlip:
    """Mirrors the image left to right at random.

    Args:
        probability: Share of the images that are mirrored.
    """

    def __init__(self, *, probability: Fraction = 0.5) -> None:
        self.probability = probability

    def __call__(self, sample: Sample, generator: torch.Generator) -> Sample:
        """Mirror image and boxes, or not."""
        return flip(sample, horizontal=True) if chance(generator, self.probability) else sample


@register("transform", "vertical_flip")
class VerticalFlip:
    """Mirrors the image top to bottom at random; for pictures without an up, as in microscopy.

    Args:
        probability: Share of the images that are mirrored.
    """

    def __init__(self, *, probability: Fraction = 0.5) -> None:
        self.probability = probability

    def __call__(self, sample: Sample, generator: torch.Generator) -> Sample:
        """Mirror image and boxes, or not."""
        return flip(sample, horizontal=False) if chance(generator, self.probability) else sample
