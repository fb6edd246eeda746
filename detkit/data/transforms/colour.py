"""Transforms that change colours and leave boxes alone."""

from __future__ import annotations

from typing import Annotated

import torch
from annotated_types import Interval
from torchvision.transforms.v2 import functional as F

from detkit.data.transforms.geometry import chance, uniform
from detkit.registry import Fraction, register
from detkit.structures import Sample

HueShare = Annotated[float, Interval(ge=0, le=0.5)]


@register("transform", "color_jitter")
class ColorJitter:
    """Changes brightness, contrast, saturation and hue at random.

    Args:
        brightness: Factors are drawn from 1 - this to 1 + this.
        contrast: The same for contrast.
        saturation: The same for saturation.
        hue: Turns are drawn from -this to this, as a share of the colour circle; the slowest.
        probability: Share of the images that are changed.
    """

    def __init__(
        self,
        *,
        brightness: Fraction = 0.2,
        contrast: Fraction = 0.2,
        saturation: Fraction = 0.2,
        hue: HueShare = 0.0,
        probability: Fraction = 0.8,
    ) -> None:
        self.brightness = brightness
        self.contrast = contrast
        self.saturation = saturation
        self.hue = hue
        self.probability = probability

    def __call__(self, sample: Sample, generator: torch.Generator) -> Sample:
        """Change the colours, or not; the same numbers are drawn whatever is switched off."""
        changed = chance(generator, self.probability)
        factors = [
            uniform(generator, 1 - width, 1 + width)
            for width in (self.brightness, self.contrast, self.saturation)
        ]
        turn = uniform(generator, -self.hue, self.hue)
        if not changed:
            return sample
        image = sample.image
        adjustments = (
            F.adjust_brightness_image,
            F.adjust_contrast_image,
            F.adjust_saturation_image,
        )
        for adjust, factor in zip(adjustments, factors, strict=True):
            image = adjust(image, factor) if factor != 1 else image
        image = F.adjust_hue_image(image, turn) if turn != 0 else image
        return sample.replace(image=image)
