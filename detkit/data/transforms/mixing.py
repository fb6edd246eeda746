"""Blend two images, or paste objects or a window of one image into another."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from detkit.data.transforms.geometry import (
    chance,
    cut,
    flip,
    join,
    paste,
    place_on,
    scale_to,
    shift,
    uniform,
)
from detkit.data.transforms.occlusion import visible_target
from detkit.data.transforms.resizing import PADDING
from detkit.errors import ConfigError
from detkit.registry import Fraction, PositiveFloat, PositiveInt, register
from detkit.structures import Sample


@register("transform", "mixup")
class Mixup:
    """Blends the image with another one; the objects of both are to be found.

    The share of the first image is drawn from Beta(alpha, alpha). All objects count fully, as is
    common practice, whereas the second paper weighs their losses by the shares.
    Images of two sizes are laid on a canvas that holds both, at its top left.

    Paper: mixup: Beyond Empirical Risk Minimization (Zhang et al., 2018),
        https://arxiv.org/abs/1710.09412; for detection: Bag of Freebies for Training Object
        Detection Neural Networks (Zhang et al., 2019), https://arxiv.org/abs/1902.04103

    Args:
        alpha: Large values give shares near one half; 1 makes all shares equally likely.
        probability: Share of the images that are blended.
    """

    def __init__(self, *, alpha: PositiveFloat = 32.0, probability: Fraction = 0.1) -> None:
        self.alpha = alpha
        self.probability = probability

    def count(self, generator: torch.Generator) -> int:
        """One other image, or none."""
        return int(chance(generator, self.probability))

    def mix(self, sample: Sample, others: Sequence[Sample], generator: torch.Generator) -> Sample:
        """The blended image with the objects of both."""
        (other,) = others
        share = _beta(self.alpha, generator)
        height, width = (max(lengths) for lengths in zip(sample.size, other.size, strict=True))
        first, second = (
            s if s.size == (height, width) else place_on(s, (height, width), 0, 0, PADDING)
            for s in (sample, other)
        )
        blended = first.image.to(torch.float32, copy=True).mul_(share)
        blended.add_(second.image, alpha=1 - share)
        image = blended.round_().to(torch.uint8) if first.image.dtype == torch.uint8 else blended
        return first.replace(image=image, target=join([first.target, second.target]))


@register("transform", "cutmix")
class CutMix:
    """Replaces a random window by the same window of another image, with the objects there.

    The share of the image that remains is drawn from Beta(alpha, alpha), and the middle of the
    window is drawn from all pixels. Boxes shrink where the edge of the window cuts a whole side
    off; masks lose what the window hides. As in the other mixing transforms, all objects count
    fully in the loss.

    Paper: CutMix: Regularization Strategy to Train Strong Classifiers with Localizable Features
        (Yun et al., 2019), https://arxiv.org/abs/1905.04899

    Args:
        alpha: Large values give windows of half of the image; 1 makes all shares equally likely.
        least_kept: Share of an object that must remain visible for it to stay.
        probability: Share of the images that receive a window.
    """

    def __init__(
        self,
        *,
        alpha: PositiveFloat = 1.0,
        least_kept: Fraction = 0.3,
        probability: Fraction = 0.5,
    ) -> None:
        self.alpha = alpha
        self.least_kept = least_kept
        self.probability = probability

    def count(self, generator: torch.Generator) -> int:
        """One other image, or none."""
        return int(chance(generator, self.probability))

    def mix(self, sample: Sample, others: Sequence[Sample], generator: torch.Generator) -> Sample:
        """The sample with a window of the other one."""
        (other,) = others
        limits = [min(lengths) for lengths in zip(sample.size, other.size, strict=True)]
        side = math.sqrt(1 - _beta(self.alpha, generator))
        top, bottom = _interval(sample.size[0], side, limits[0], generator)
        left, right = _interval(sample.size[1], side, limits[1], generator)
        if bottom <= top or right <= left:
            return sample
        piece = cut(other, left, top, (bottom - top, right - left), self.least_kept)
        image = sample.image.clone()
        paste(piece.image, image, top, left)
        covered = torch.zeros(sample.size, dtype=torch.bool)
        covered[top:bottom, left:right] = True
        below = visible_target(sample.target, covered, self.least_kept)
        if below.outlines is None:
            boxes = _beside(below.boxes, left, top, right, bottom)
            has_area = (boxes[:, 2:] > boxes[:, :2]).all(dim=1)
            below = replace(below, boxes=boxes).select(has_area)
        target = join([below, shift(piece, left, top).target])
        return sample.replace(image=image, target=target)


def _beta(alpha: float, generator: torch.Generator) -> float:
    """A number from Beta(alpha, alpha); torch draws none from a generator."""
    seed = int(torch.randint(2**62, (), generator=generator))
    return float(np.random.default_rng(seed).beta(alpha, alpha))


def _interval(length: int, share: float, limit: int, generator: torch.Generator) -> tuple[int, int]:
    """Start and end of a share of a length around a random middle, within [0, limit]."""
    middle, half = uniform(generator, 0, length), share * length / 2
    return max(round(middle - half), 0), min(round(middle + half), limit)


def _beside(boxes: torch.Tensor, left: int, top: int, right: int, bottom: int) -> torch.Tensor:
    """What a window leaves of boxes (N, 4): smaller boxes where it cuts a whole side off."""
    x1, y1, x2, y2 = boxes.unbind(1)
    spans_rows, spans_columns = (top <= y1) & (y2 <= bottom), (left <= x1) & (x2 <= right)
    new_x1 = torch.where(spans_rows & (left <= x1), x1.clamp(min=right), x1)
    new_x2 = torch.where(spans_rows & (right >= x2), x2.clamp(max=left), x2)
    new_y1 = torch.where(spans_columns & (top <= y1), y1.clamp(min=bottom), y1)
    new_y2 = torch.where(spans_columns & (bottom >= y2), y2.clamp(max=top), y2)
    return torch.stack([new_x1, new_y1, new_x2, new_y2], dim=1)


@register("transform", "copy_paste")
class CopyPaste:
    """Pastes objects of another image into this one, randomly placed, resized and mirrored.

    With masks, which data have for a detector with a mask head, only the pixels of an object are
    pasted. Masks and boxes of the objects behind it shrink to the visible part, as in the paper.
    Without masks, whole boxes are pasted, including their background and other objects that are
    mostly inside the box. Objects that are covered too much are dropped.

    Paper: Simple Copy-Paste is a Strong Data Augmentation Method for Instance Segmentation
        (Ghiasi et al., 2021), https://arxiv.org/abs/2012.07177

    Args:
        most: Largest number of objects to paste; the number is drawn from 1 to this.
        smallest: Smallest factor by which an object is resized.
        largest: Largest factor by which an object is resized.
        least_kept: Share of an object that must be visible for it to stay, or to be pasted along.
        probability: Share of the images that receive objects.
    """

    def __init__(
        self,
        *,
        most: PositiveInt = 3,
        smallest: PositiveFloat = 0.75,
        largest: PositiveFloat = 1.25,
        least_kept: Fraction = 0.3,
        probability: Fraction = 0.5,
    ) -> None:
        if smallest > largest:
            raise ConfigError(
                [f"copy_paste: smallest {smallest} is above largest {largest}; swap them."]
            )
        self.most = most
        self.smallest = smallest
        self.largest = largest
        self.least_kept = least_kept
        self.probability = probability

    def count(self, generator: torch.Generator) -> int:
        """One other image, or none."""
        return int(chance(generator, self.probability))

    def mix(self, sample: Sample, others: Sequence[Sample], generator: torch.Generator) -> Sample:
        """The sample with objects of the other one."""
        (other,) = others
        count = int(torch.randint(self.most, (), generator=generator)) + 1
        candidates = (~other.target.ignored).nonzero().flatten()
        order = torch.randperm(len(candidates), generator=generator)[:count]
        for row in candidates[order].tolist():
            piece, pixels = self._piece(other, row, generator)
            if piece.size[0] <= sample.size[0] and piece.size[1] <= sample.size[1]:
                sample = self._pasted(sample, piece, pixels, generator)
        return sample

    def _piece(
        self, other: Sample, row: int, generator: torch.Generator
    ) -> tuple[Sample, torch.Tensor]:
        """The contents of an object's box, randomly resized and mirrored, and its pixels (H, W)."""
        x1, y1, x2, y2 = (round(value) for value in other.target.boxes[row].tolist())
        left, top = min(x1, other.size[1] - 1), min(y1, other.size[0] - 1)
        size = (max(y2 - top, 1), max(x2 - left, 1))
        by_mask = other.target.outlines is not None and bool(other.target.outlines.has_mask[row])
        if by_mask:  # without the other objects in the box, but with proposals, whose label is -1
            rows = [row, *(other.target.labels < 0).nonzero().flatten().tolist()]
            other = other.replace(target=other.target.select(torch.tensor(rows)))
        piece = cut(other, left, top, size, self.least_kept)
        factor = uniform(generator, self.smallest, self.largest)
        height, width = (max(1, round(length * factor)) for length in size)
        piece = scale_to(piece, (height, width))
        piece = flip(piece, horizontal=True) if chance(generator, 0.5) else piece
        return piece, _pixels(piece) if by_mask else torch.ones(piece.size, dtype=torch.bool)

    def _pasted(
        self, sample: Sample, piece: Sample, pixels: torch.Tensor, generator: torch.Generator
    ) -> Sample:
        """Paste pixels of a piece at a random position, and drop the objects that they hide."""
        height, width = piece.size
        top = int(uniform(generator, 0, sample.size[0] - height + 1))
        left = int(uniform(generator, 0, sample.size[1] - width + 1))
        if not pixels.any():
            return sample
        window = (slice(top, top + height), slice(left, left + width))
        image = sample.image.clone()
        image[:, *window] = torch.where(pixels, piece.image, image[:, *window])
        covered = torch.zeros(sample.size, dtype=torch.bool)
        covered[window] = pixels
        below = visible_target(sample.target, covered, self.least_kept)
        target = join([below, shift(piece, left, top).target])
        return sample.replace(image=image, target=target)


def _pixels(piece: Sample) -> torch.Tensor:
    """(H, W) bool, the pixels of the first object of a piece; none if cutting dropped it."""
    outlines = piece.target.outlines
    if outlines is None or not len(outlines):
        return torch.zeros(piece.size, dtype=torch.bool)
    return torch.from_numpy(outlines.bitmap(0, piece.size))
