"""Transforms that change the size of the image."""

from __future__ import annotations

import math
from typing import Annotated

import torch
from annotated_types import Interval

from detkit.data.transforms.geometry import place_on, scale_to, uniform
from detkit.errors import ConfigError
from detkit.registry import PositiveFloat, PositiveInt, register
from detkit.structures import Sample

PADDING = 114  # grey, the fill that collating uses as well
PixelValue = Annotated[int, Interval(ge=0, le=255)]


def _rounded(length: float, multiple: int) -> int:
    return max(1, math.floor(length / multiple + 0.5)) * multiple


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
        height, width = sample.size
        factor = self.short_side / min(height, width)
        if self.long_side is not None:
            factor = min(factor, self.long_side / max(height, width))
        if not self.enlarge:
            factor = min(factor, 1.0)
        size = (_rounded(height * factor, self.multiple), _rounded(width * factor, self.multiple))
        return scale_to(sample, size)


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
        height, width = sample.size
        factor = min(self.size[0] / height, self.size[1] / width)
        factor = factor if self.enlarge else min(factor, 1.0)
        inner = (_rounded(height * factor, 1), _rounded(width * factor, 1))
        inner = (min(inner[0], self.size[0]), min(inner[1], self.size[1]))
        top, left = self.size[0] - inner[0], self.size[1] - inner[1]
        offset = (left // 2, top // 2) if self.centred else (0, 0)
        return place_on(scale_to(sample, inner), self.size, *offset, self.fill)


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
        return scale_to(sample, (_rounded(height * factor, 1), _rounded(width * factor, 1)))
