"""Inputs for the checks of parts: images, feature levels, objects, regions and batches."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from detkit import assembly
from detkit.config.pages import filled
from detkit.contracts.case import CLASS_NAMES, BrokenContractError, Subject
from detkit.errors import ConfigError
from detkit.structures import (
    Batch,
    FeatureSpec,
    PaddedMasks,
    PaddedTargets,
    Priors,
    Regions,
    Target,
)

IMAGE = (64, 96)  # height and width
SIZES = [IMAGE, (60, 80)]  # of two images, padded to the size of the first
MANY = 1000
CPU = torch.device("cpu")


def _specs(channels: Sequence[int], stride: int) -> list[FeatureSpec]:
    return [
        FeatureSpec(channel_count, stride * 2**level)
        for level, channel_count in enumerate(channels)
    ]


# Tried in order: a part may refuse levels that it does not support with a UserError.
_DIFFERENT = [_specs((32, 64, 128), 8), _specs((32, 64, 96, 128), 4)]
_ALIKE = [_specs((32, 32, 32), 8), _specs((32,) * 5, 8), _specs((32,) * 4, 4), _specs((32,), 32)]
LEVELS = {"neck": _DIFFERENT + _ALIKE}
# Of pooled maps, and of crops of the image.
REGION_SHAPES = ((32, 4, 4), (3, 64, 64))


def build_on_levels(subject: Subject) -> tuple[Any, list[FeatureSpec]]:
    """Build the part on the first levels that it accepts; returns the part and these levels.

    Raises:
        BrokenContractError: It accepts none.
    """
    refusals = []
    for specs in LEVELS.get(subject.family, _ALIKE + _DIFFERENT):
        try:
            wiring = _head_wiring(specs) if subject.family == "layers" else {}
            return subject.build(feature_specs=list(specs), **wiring), list(specs)
        except ConfigError as error:
            refusals.append(f"{_levels_text(specs)}: {error}")
    raise BrokenContractError(f"it cannot be built on any feature levels; {refusals[0]}")


def _head_wiring(specs: Sequence[FeatureSpec]) -> dict[str, Any]:
    """The values that a head with points and no quality branch wires into its layers."""
    points = assembly.build("priors", filled("priors", "points"), {"feature_specs": specs}, ())
    coder = assembly.build("box_coder", filled("box_coder", "distance"), {}, ())
    return {
        "priors": points,
        "per_cell": points.per_cell,
        "box_coder": coder,
        "code_size": coder.code_size,
        "class_activation": "sigmoid",
    }


def _levels_text(specs: Sequence[FeatureSpec]) -> str:
    return "on " + ", ".join(f"{spec.channels} channels at stride {spec.stride}" for spec in specs)


def build_on_region(subject: Subject) -> tuple[Any, tuple[int, int, int]]:
    """Build a box head on the first shape of pooled maps that it accepts; returns both.

    Raises:
        BrokenContractError: It accepts none.
    """
    refusals = []
    for shape in REGION_SHAPES:
        try:
            return subject.build(region_shape=shape), shape
        except ConfigError as error:
            refusals.append(f"on {shape}: {error}")
    raise BrokenContractError(f"it cannot be built on any pooled map; {refusals[0]}")


def random(*shape: int, seed: int = 0) -> Tensor:
    """Normally distributed numbers, reproducible from the seed."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def images(size: tuple[int, int] = IMAGE, count: int = 2) -> Tensor:
    """Normalised images (B, 3, H, W)."""
    return random(count, 3, *size)


def maps(
    specs: Sequence[FeatureSpec], size: tuple[int, int] = IMAGE, count: int = 2
) -> list[Tensor]:
    """Feature levels of images; the number of cells is rounded up, as convolutions do."""
    height, width = size
    return [
        random(
            2,
            spec.channels,
            math.ceil(height / spec.stride),
            math.ceil(width / spec.stride),
            seed=level,
        )[:count]
        for level, spec in enumerate(specs)
    ]


def boxes_in(size: tuple[int, int], count: int, seed: int = 0) -> Tensor:
    """(N, 4) boxes inside an image, with sides of at least 4 pixels."""
    generator = torch.Generator().manual_seed(seed)
    first, second = torch.rand(2, count, 2, generator=generator)
    extent = torch.tensor([size[1], size[0]], dtype=torch.float32)
    corner = first * (extent - 8)
    sides = 4 + second * (extent - corner - 4)
    return torch.cat([corner, corner + sides], dim=1)


def objects(count: int, size: tuple[int, int] = IMAGE, seed: int = 0) -> Target:
    """Objects of all classes inside an image."""
    boxes = boxes_in(size, count, seed)
    labels = torch.arange(count) % len(CLASS_NAMES)
    return Target(boxes, labels, torch.zeros(count, dtype=torch.bool))


def usual_targets() -> list[Target]:
    """Three objects in the first image, one of them a crowd, and one in the second."""
    first = Target(
        torch.tensor([[4.0, 4, 30, 34], [40, 10, 90, 60], [50, 40, 60, 50]]),
        torch.tensor([0, 2, 1]),
        torch.tensor([False, False, True]),
    )
    second = Target(torch.tensor([[10.0, 10, 50, 50]]), torch.tensor([1]), torch.tensor([False]))
    return [first, second]


def padded(targets: Sequence[Target]) -> PaddedTargets:
    """The objects of two images of `SIZES`, with masks that fill their boxes."""
    without_masks = PaddedTargets.of(targets)
    y, x = torch.arange(IMAGE[0])[:, None] + 0.5, torch.arange(IMAGE[1]) + 0.5
    x1, y1, x2, y2 = without_masks.boxes[without_masks.mask].T[..., None, None]  # (T, 1, 1) each
    bitmaps = (x > x1) & (x < x2) & (y > y1) & (y < y2)  # (T, H, W)
    bits = torch.from_numpy(np.packbits(bitmaps.numpy(), axis=2))
    masks = PaddedMasks(bits, without_masks.mask, without_masks.counts, tuple(SIZES))
    return without_masks._replace(masks=masks)


def target_scenes() -> dict[str, list[Target]]:
    """Objects of two images, by a description of the situation."""
    usual = usual_targets()
    crowd = [Target(t.boxes, t.labels, torch.ones(len(t), dtype=torch.bool)) for t in usual]
    return {
        "objects in both images": usual,
        "one object in one image": [Target.empty(), usual[1]],
        "no object in any image": [Target.empty(), Target.empty()],
        "nothing but crowds": crowd,
        f"{MANY} objects in an image": [objects(MANY), usual[1]],
    }


def regions() -> Regions:
    """Three regions of one image and one of another."""
    first = torch.tensor([[2.0, 2, 30, 30], [40, 10, 90, 60], [10, 10, 12, 50]])
    return Regions.of([first, torch.tensor([[10.0, 8, 52, 50]])])


def size_tensor() -> Tensor:
    """(2, 2) float32 height and width of the images of `SIZES`."""
    return torch.tensor(SIZES, dtype=torch.float32)


def priors(size: tuple[int, int] = (128, 160)) -> Priors:
    """A point in each cell of three levels, stored as a box with sides of one stride."""
    boxes, strides, levels = [], [], []
    for level, stride in enumerate((8, 16, 32)):
        rows, columns = (torch.arange(0, side, stride, dtype=torch.float32) for side in size)
        y, x = torch.meshgrid(rows, columns, indexing="ij")
        corner = torch.stack([x, y], dim=-1).reshape(-1, 2)
        boxes.append(torch.cat([corner, corner + stride], dim=1))
        strides.append(torch.full((len(corner),), float(stride)))
        levels.append(torch.full((len(corner),), level))
    level_sizes = tuple(map(len, boxes))
    return Priors(torch.cat(boxes), torch.cat(strides), torch.cat(levels), level_sizes)


def batch(targets: Sequence[Target], seed: int = 0) -> Batch:
    """A batch of two images of `SIZES` with objects."""
    generator = torch.Generator().manual_seed(seed)
    pixels = torch.randint(0, 256, (2, 3, *IMAGE), dtype=torch.uint8, generator=generator)
    return Batch(
        images=pixels,
        image_sizes=list(SIZES),
        targets=padded(targets),
        original_targets=list(targets),
        image_ids=[2 * seed, 2 * seed + 1],
        paths=["first.png", "second.png"],
        original_sizes=list(SIZES),
        to_image=torch.eye(3, dtype=torch.float64).expand(2, 3, 3).clone(),
    )
