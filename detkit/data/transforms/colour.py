"""Transforms that change colours and leave boxes alone."""

from __future__ import annotations

from typing import Annotated

import numpy as np
import torch
from annotated_types import Interval
from PIL import Image

from detkit.data.transforms.geometry import chance, uniform
from detkit.data.transforms.hue import adjust
from detkit.registry import Fraction, register
from detkit.structures import Sample

_GREY = (0.299, 0.587, 0.114)  # how bright the colours are to the eye
HueShare = Annotated[float, Interval(ge=0, le=0.5)]


@register("transform", "color_jitter")
class ColorJitter:
    """Changes brightness, contrast, saturation and hue at random.

    Brightness, contrast and saturation are one linear map of the colours, cut to 0..255 at its end;
    torchvision, which cuts after each, loses more of what is very bright. The hue is that of HSV.

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
        image = _mapped(sample.image, *factors) if factors != [1, 1, 1] else sample.image
        return sample.replace(image=adjust(image, turn, 1.0, 1.0) if turn != 0 else image)


def _mapped(
    image: torch.Tensor, brightness: float, contrast: float, saturation: float
) -> torch.Tensor:
    """The image (3, H, W) after the map that the three adjustments make together.

    By Pillow, in 8 bits: 1 ms for 640 x 480, where torchvision takes 5 for one after the other.
    """
    some = image[:, ::4, ::4].float().mean(dim=(1, 2))  # one pixel in 16 tells the mean
    mean = brightness * float(some.double() @ torch.tensor(_GREY, dtype=torch.float64))
    # colours times the factor, and what each of them adds to all through the grey
    own = brightness * contrast * saturation
    shared = [brightness * contrast * (1 - saturation) * share for share in _GREY]
    added = (1 - contrast) * mean
    rows = [[own * (row == column) + shared[column] for column in range(3)] for row in range(3)]
    picture = Image.fromarray(image.permute(1, 2, 0).contiguous().numpy())
    moved = picture.convert("RGB", tuple(v for row in rows for v in (*row, added)))
    return torch.from_numpy(np.array(moved)).permute(2, 0, 1)


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

    def __call__(self, sample: Sample, generator: torch.Generator) -> Sample:
        """Change the colours, or not; the same numbers are drawn whatever is switched off."""
        changed = chance(generator, self.probability)
        turn = uniform(generator, -self.hue, self.hue)
        factors = [uniform(generator, 1 - w, 1 + w) for w in (self.saturation, self.value)]
        if not changed or (turn == 0 and factors == [1, 1]):
            return sample
        return sample.replace(image=adjust(sample.image, turn, *factors))
