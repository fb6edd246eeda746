"""Rectangles of the image hidden."""

from __future__ import annotations

import math

import torch

from detkit.data.transforms.geometry import chance, uniform, visible_shares
from detkit.data.transforms.resizing import PADDING, PixelValue
from detkit.errors import ConfigError
from detkit.registry import Fraction, PositiveFloat, PositiveInt, register
from detkit.structures import Sample


@register("transform", "cut_out")
class CutOut:
    """Hides random rectangles behind grey or noise, and drops mostly hidden objects.

    Paper: Improved Regularization of Convolutional Neural Networks with Cutout (DeVries and Taylor,
        2017), https://arxiv.org/abs/1708.04552; with noise: Random Erasing Data Augmentation
        (Zhong et al., 2017), https://arxiv.org/abs/1708.04896

    Args:
        most: Most rectangles; how many is drawn, from 1 on.
        smallest: Smallest area of a rectangle, as a share of the image.
        largest: Largest area of a rectangle, as a share of the image.
        most_elongated: Largest ratio of a rectangle's sides.
        least_kept: Share of an object that must be seen for it to stay.
        fill: Grey value of the rectangles; null fills them with noise.
        probability: Share of the images in which something is hidden.
    """

    def __init__(
        self,
        *,
        most: PositiveInt = 1,
        smallest: PositiveFloat = 0.02,
        largest: Fraction = 0.2,
        most_elongated: PositiveFloat = 3.0,
        least_kept: Fraction = 0.4,
        fill: PixelValue | None = PADDING,
        probability: Fraction = 0.5,
    ) -> None:
        if smallest > largest:
            raise ConfigError(
                [f"cut_out: smallest {smallest} is above largest {largest}; swap them."]
            )
        self.most = most
        self.smallest = smallest
        self.largest = largest
        self.most_elongated = max(most_elongated, 1 / most_elongated)
        self.least_kept = least_kept
        self.fill = fill
        self.probability = probability

    def __call__(self, sample: Sample, generator: torch.Generator) -> Sample:
        """Hide parts of the image, or not."""
        if not chance(generator, self.probability):
            return sample
        covered = torch.zeros(sample.size, dtype=torch.bool)
        for _ in range(int(torch.randint(self.most, (), generator=generator)) + 1):
            rows, columns = self._rectangle(sample.size, generator)
            covered[rows, columns] = True
        if self.fill is None:
            drawn = torch.randint(256, sample.image.shape, generator=generator, dtype=torch.uint8)
            drawn = drawn.to(sample.image.dtype)
        else:
            drawn = torch.full_like(sample.image, self.fill)
        seen = visible_shares(sample.target.boxes, covered) >= self.least_kept
        return sample.replace(
            image=torch.where(covered, drawn, sample.image), target=sample.target.select(seen)
        )

    def _rectangle(self, size: tuple[int, int], generator: torch.Generator) -> tuple[slice, slice]:
        """Rows and columns of a rectangle inside (height, width)."""
        area = uniform(generator, self.smallest, self.largest) * size[0] * size[1]
        reach = math.log(self.most_elongated)
        ratio = math.exp(uniform(generator, -reach, reach))
        height = min(max(round(math.sqrt(area * ratio)), 1), size[0])
        width = min(max(round(math.sqrt(area / ratio)), 1), size[1])
        top = int(uniform(generator, 0, size[0] - height + 1))
        left = int(uniform(generator, 0, size[1] - width + 1))
        return slice(top, top + height), slice(left, left + width)
