"""Transforms that change the size of the image."""

from __future__ import annotations

from typing import Annotated

import torch
from annotated_types import Interval

from detkit.data.transforms.geometry import place_on, scale_to, uniform
from detkit.errors import ConfigError
from detkit.pixels.resizing import fit_letterbox, fit_short_side, rounded_length
from detkit.registry import PositiveFloat, PositiveInt, register
from detkit.structures import Sample

PADDING = 114  # grey, the fill that collating uses as well
PixelValue = Annotated[int, Interval(ge=0, le=255)]


@register("transform", "resize")
class Resize:
    """Resizes so that the short side has a length, unless the long side would get too long.

    Args:
        short_side: Length of the shorter side.
        long_side: Largest length of the longer side; null sets no limit.
        multiple: Both sides are rounded to the nearest multiple of this; above 1 it changes the
            ratio of the sides a little.
        enlarge: Enlarge images that are smaller; otherwise they stay as they are.
    """

    def __init__(
        self,
        *,
        short_side: PositiveInt = 800,
        long_side: PositiveInt | None = 1333,
        multiple: PositiveInt = 1,
        enlarge: bool = True,
    ) -> None:
        self.enlarge = enlarge
        self.short_side = short_side
        self.long_side = long_side
        self.multiple = multiple

    def __call__(self, sample: Sample, generator: torch.Generator) -> Sample:
        """Resize image and boxes; draws nothing."""
        fit = fit_short_side(
            sample.size,
            short_side=self.short_side,
            long_side=self.long_side,
            multiple=self.multiple,
            enlarge=self.enlarge,
        )
        return scale_to(sample, fit.inner)


@register("transform", "resize_exact")
class ResizeExact:
    """Resizes to one height and width, whatever the ratio of the sides was.

    Args:
        height: Height of the result.
        width: Width of the result.
    """

    def __init__(self, *, height: PositiveInt = 300, width: PositiveInt = 300) -> None:
        self.size = (height, width)

    def __call__(self, sample: Sample, generator: torch.Generator) -> Sample:
        """Resize image and boxes; draws nothing."""
        return scale_to(sample, self.size)


@register("transform", "letterbox")
class Letterbox:
    """Resizes to fit a height and width with the ratio of the sides kept, and fills the rest.

    Args:
        height: Height of the result.
        width: Width of the result.
        centred: Put the image in the middle; otherwise at the top left.
        enlarge: Enlarge images that are smaller.
        fill: Grey value of the rest.
    """

    def __init__(
        self,
        *,
        height: PositiveInt = 640,
        width: PositiveInt = 640,
        centred: bool = True,
        enlarge: bool = True,
        fill: PixelValue = PADDING,
    ) -> None:
        self.size = (height, width)
        self.centred = centred
        self.enlarge = enlarge
        self.fill = fill

    def __call__(self, sample: Sample, generator: torch.Generator) -> Sample:
        """Resize image and boxes and pad the image; draws nothing."""
        height, width = self.size
        fit = fit_letterbox(
            sample.size, height=height, width=width, centred=self.centred, enlarge=self.enlarge
        )
        return place_on(scale_to(sample, fit.inner), self.size, fit.left, fit.top, self.fill)


@register("transform", "scale_jitter")
class ScaleJitter:
    """Resizes by a random factor, uniform in a range, the ratio of the sides kept.

    Paper: Simple Copy-Paste is a Strong Data Augmentation Method for Instance Segmentation
    (Ghiasi et al., 2021), https://arxiv.org/abs/2012.07177

    Args:
        smallest: Smallest factor.
        largest: Largest factor.
    """

    def __init__(self, *, smallest: PositiveFloat = 0.5, largest: PositiveFloat = 1.5) -> None:
        if smallest > largest:
            raise ConfigError(
                [f"scale_jitter: smallest {smallest} is above largest {largest}; swap them."]
            )
        self.smallest = smallest
        self.largest = largest

    def __call__(self, sample: Sample, generator: torch.Generator) -> Sample:
        """Resize image and boxes."""
        factor = uniform(generator, self.smallest, self.largest)
        height, width = sample.size
        return scale_to(sample, (rounded_length(height * factor), rounded_length(width * factor)))


RESIZING = (Resize, ResizeExact, Letterbox)  # draw nothing, and only move coordinates
