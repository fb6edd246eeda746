"""Combine four images into one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import torch
from annotated_types import Interval

from detkit.data.transforms.geometry import (
    blank,
    chance,
    clip,
    join,
    paste,
    scale_to,
    shift,
    shift_target,
    uniform,
)
from detkit.data.transforms.resizing import PADDING, PixelValue
from detkit.registry import Fraction, PositiveInt, register
from detkit.structures import Sample, Target

Jitter = Annotated[float, Interval(ge=0, lt=0.5)]


@register("transform", "mosaic")
class Mosaic:
    """Combines four images around a random point: objects of four scenes, at half their size.

    Each image is resized to fit a quarter of the canvas, with its aspect ratio, and one of its
    corners is at the point; it is clipped to the canvas. A following `random_perspective` crops the
    centre, as YOLOv5 does; the canvas is then twice as high and wide as the result.

    Paper: YOLOv4: Optimal Speed and Accuracy of Object Detection (Bochkovskiy et al., 2020),
        https://arxiv.org/abs/2004.10934

    Args:
        height: Height of the canvas.
        width: Width of the canvas.
        jitter: Largest distance of the point from the centre of the canvas, as a share of height
            and width.
        enlarge: Enlarge images that are smaller than a quarter of the canvas.
        least_kept: Share of a box's area that must remain for the object to stay.
        fill: Grey value of empty areas.
        probability: Share of the images that are combined with others.
    """

    def __init__(
        self,
        *,
        height: PositiveInt = 1280,
        width: PositiveInt = 1280,
        jitter: Jitter = 0.25,
        enlarge: bool = True,
        least_kept: Fraction = 0.1,
        fill: PixelValue = PADDING,
        probability: Fraction = 1.0,
    ) -> None:
        self.size = (height, width)
        self.jitter = jitter
        self.enlarge = enlarge
        self.least_kept = least_kept
        self.fill = fill
        self.probability = probability

    def count(self, generator: torch.Generator) -> int:
        """Three others, or none."""
        return 3 if chance(generator, self.probability) else 0

    def mix(self, sample: Sample, others: Sequence[Sample], generator: torch.Generator) -> Sample:
        """Place the sample in a random quarter and the others in the remaining ones."""
        low, high = 0.5 - self.jitter, 0.5 + self.jitter
        row, column = (round(length * uniform(generator, low, high)) for length in self.size)
        canvas = blank(self.size, self.fill, sample.image)
        quarters = torch.randperm(4, generator=generator).tolist()
        pieces = [self._fitted(piece) for piece in (sample, *others)]
        offsets: list[tuple[int, int]] = []
        for quarter, piece in zip(quarters, pieces, strict=True):
            height, width = piece.size
            top = row - height if quarter < 2 else row  # noqa: PLR2004  # 0 and 1 are the upper ones
            left = column - width if quarter % 2 == 0 else column
            paste(piece.image, canvas, top, left)
            offsets.append((left, top))
        whole = shift(pieces[0], *offsets[0])
        target, _ = clip(_joined(pieces, offsets), self.size, self.least_kept)
        return whole.replace(image=canvas, target=target)

    def _fitted(self, sample: Sample) -> Sample:
        """Resize a sample to fit a quarter."""
        limits = [max(length // 2, 1) for length in self.size]
        factor = min(limit / length for limit, length in zip(limits, sample.size, strict=True))
        factor = factor if self.enlarge else min(factor, 1.0)
        height, width = (max(1, round(length * factor)) for length in sample.size)
        return scale_to(sample, (min(height, limits[0]), min(width, limits[1])))


def _joined(pieces: Sequence[Sample], offsets: Sequence[tuple[int, int]]) -> Target:
    """The objects of all pieces, each shifted by the (left, top) of its piece."""
    return join(
        [shift_target(piece.target, *offset) for piece, offset in zip(pieces, offsets, strict=True)]
    )
