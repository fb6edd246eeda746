"""Transforms that change colours and leave boxes alone."""

from __future__ import annotations

from typing import Annotated

import torch
from annotated_types import Interval

from detkit.data.transforms.geometry import chance, uniform
from detkit.data.transforms.intensity import adjust, jitter
from detkit.registry import Fraction, register
from detkit.structures import Sample
from detkit.text import counted

COLOURS = 3  # channels of images with a hue
HueShare = Annotated[float, Interval(ge=0, le=0.5)]


@register("transform", "color_jitter")
class ColorJitter:
    """Changes brightness, contrast, saturation and hue at random.

    Without a hue change, the result differs from torchvision's by at most three of the 256 levels
    at the default strengths, and by at most five at any strength.

    Args:
        brightness: Factors are drawn from 1 - this to 1 + this.
        contrast: The same for contrast.
        saturation: The same for saturation.
        hue: Turns are drawn from -this to this, as a share of the colour circle.
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

    def refused_channels(self, channels: int) -> str | None:
        """Saturation and hue need colours; brightness and contrast work for any channels."""
        if channels == COLOURS or self.saturation == self.hue == 0:
            return None
        images = f"images of {counted(channels, 'channel')}"
        return (
            f"color_jitter changes saturation and hue, which {images} do not have: set its "
            "saturation=0 and hue=0, or set the step to null."
        )

    def __call__(self, sample: Sample, generator: torch.Generator) -> Sample:
        """Change the colours, or not; the same numbers are drawn whatever is switched off."""
        changed = chance(generator, self.probability)
        brightness, contrast, saturation = (
            uniform(generator, 1 - width, 1 + width)
            for width in (self.brightness, self.contrast, self.saturation)
        )
        turn = uniform(generator, -self.hue, self.hue)
        if not changed:
            return sample
        return sample.replace(image=jitter(sample.image, brightness, contrast, saturation, turn))


@register("transform", "hsv")
class HSV:
    """Turns the hue and multiplies saturation and value at random, in 8 bits, as YOLO does.

    Args:
        hue: Turns are drawn from -this to this, as a share of the colour circle.
        saturation: Factors are drawn from 1 - this to 1 + this.
        value: The same for the value, the brightness of the strongest colour.
        probability: Share of the images that are changed.
    """

    def __init__(
        self,
        *,
        hue: HueShare = 0.015,
        saturation: Fraction = 0.7,
        value: Fraction = 0.4,
        probability: Fraction = 1.0,
    ) -> None:
        self.hue = hue
        self.saturation = saturation
        self.value = value
        self.probability = probability

    def refused_channels(self, channels: int) -> str | None:
        """Hue and saturation need colours."""
        if channels == COLOURS:
            return None
        return (
            f"hsv changes hue and saturation, which images of {counted(channels, 'channel')} do "
            "not have: set the step to null, or use {name: color_jitter, saturation: 0}."
        )

    def __call__(self, sample: Sample, generator: torch.Generator) -> Sample:
        """Change the colours, or not; the same numbers are drawn whatever is switched off."""
        changed = chance(generator, self.probability)
        turn = uniform(generator, -self.hue, self.hue)
        factors = [uniform(generator, 1 - w, 1 + w) for w in (self.saturation, self.value)]
        if not changed or (turn == 0 and factors == [1, 1]):
            return sample
        return sample.replace(image=adjust(sample.image, turn, *factors))
