"""Transforms that cut a window out of the image."""

from __future__ import annotations

import torch

from detkit.data.transforms.geometry import chance, cut, uniform
from detkit.errors import ConfigError
from detkit.registry import Fraction, PositiveFloat, PositiveInt, register
from detkit.structures import Sample

TRIES = 20  # windows drawn before the image is left whole; 20 miss a box of 10% in 1 of 8 images


@register("transform", "random_crop")
class RandomCrop:
    """Crops a random window; boxes with too little of their area inside are dropped.

    Args:
        smallest: Smallest share of each side that the window keeps.
        largest: Largest share of each side that the window keeps.
        least_kept: Share of a box's area that must remain for the object to stay.
        allow_empty: Let a window without any object pass; otherwise another one is drawn, and the
            image stays whole if none is found.
        probability: Share of the images that are cut.
    """

    def __init__(
        self,
        *,
        smallest: PositiveFloat = 0.5,
        largest: Fraction = 1.0,
        least_kept: Fraction = 0.3,
        allow_empty: bool = False,
        probability: Fraction = 0.5,
    ) -> None:
        if smallest > largest:
            raise ConfigError(
                [f"random_crop: smallest {smallest} is above largest {largest}; swap them."]
            )
        self.smallest = smallest
        self.largest = largest
        self.least_kept = least_kept
        self.allow_empty = allow_empty
        self.probability = probability

    def __call__(self, sample: Sample, generator: torch.Generator) -> Sample:
        """Cut image and boxes, or not."""
        if not chance(generator, self.probability):
            return sample
        height, width = sample.size
        for _ in range(TRIES):
            share_down = uniform(generator, self.smallest, self.largest)
            share_across = uniform(generator, self.smallest, self.largest)
            size = (max(1, round(height * share_down)), max(1, round(width * share_across)))
            window = _window(sample, size, self.least_kept, generator)
            if _acceptable(sample, window, self.allow_empty):
                return window
        return sample


@register("transform", "crop_to_size")
class CropToSize:
    """Cuts a random window of at most a height and width; smaller images stay as they are.

    Comes after `scale_jitter`, so that enlarged images do not make batches large.

    Args:
        height: Largest height of the result.
        width: Largest width of the result.
        least_kept: Share of a box's area that must remain for the object to stay.
        allow_empty: Let a window without any object pass; otherwise another one is drawn, and the
            last one is used if none is found.
    """

    def __init__(
        self,
        *,
        height: PositiveInt = 640,
        width: PositiveInt = 640,
        least_kept: Fraction = 0.3,
        allow_empty: bool = False,
    ) -> None:
        self.size = (height, width)
        self.least_kept = least_kept
        self.allow_empty = allow_empty

    def __call__(self, sample: Sample, generator: torch.Generator) -> Sample:
        """Crop image and boxes if the image is larger."""
        size = (min(sample.size[0], self.size[0]), min(sample.size[1], self.size[1]))
        if size == sample.size:
            return sample
        window = sample
        for _ in range(TRIES):
            window = _window(sample, size, self.least_kept, generator)
            if _acceptable(sample, window, self.allow_empty):
                break
        return window


def _window(
    sample: Sample, size: tuple[int, int], least_kept: float, generator: torch.Generator
) -> Sample:
    top = int(uniform(generator, 0, sample.size[0] - size[0] + 1))
    left = int(uniform(generator, 0, sample.size[1] - size[1] + 1))
    return cut(sample, left, top, size, least_kept)


def _acceptable(sample: Sample, window: Sample, allow_empty: bool) -> bool:
    """Whether a window keeps an object to learn from, if the sample has one."""
    had = bool((~sample.target.ignored).any())
    return allow_empty or not had or bool((~window.target.ignored).any())
