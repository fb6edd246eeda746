"""Contracts of backbones and necks: feature maps that match their `feature_specs`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from detkit.contracts import scenes
from detkit.contracts.case import BrokenContractError, Subject
from detkit.contracts.network_trials import set_mode
from detkit.contracts.tensor_checks import require, require_finite
from detkit.structures import FeatureSpec

# (height, width) and number of images; unpadded images have odd sides.
_SIZES = [((96, 160), 2), ((75, 107), 1), ((64, 64), 3)]


def published(part: Any) -> list[FeatureSpec]:
    """The specs that a part publishes for the parts after it.

    Raises:
        BrokenContractError: It has none, or they are invalid.
    """
    specs = getattr(part, "feature_specs", None)
    if not isinstance(specs, list) or not all(isinstance(s, FeatureSpec) for s in specs):
        raise BrokenContractError(
            f"`feature_specs` is {_describe(specs)}, expected a list of FeatureSpec(channels, "
            "stride): set it in __init__, one for each output level."
        )
    require(len(specs) > 0, "`feature_specs` is empty, expected at least one level.")
    strides = [spec.stride for spec in specs]
    require(
        strides == sorted(strides),
        f"`feature_specs` has the strides {strides}, expected fine to coarse: sort the levels.",
    )
    return specs


def _describe(value: Any) -> str:
    return "missing" if value is None else repr(value)


def require_maps(
    maps: Any,
    specs: Sequence[FeatureSpec],
    size: tuple[int, int],
    count: int,
    cells: Mapping[int, tuple[int, ...]],
) -> None:
    """Check that feature maps match their specs, for images of a size.

    Args:
        maps: What the part returned.
        specs: What it published.
        size: (height, width) of the images.
        count: Number of images.
        cells: (height, width) of the input maps, by stride.

    Raises:
        BrokenContractError: They do not match.
    """
    if not isinstance(maps, list | tuple) or not all(isinstance(level, Tensor) for level in maps):
        raise BrokenContractError(
            f"forward returned {type(maps).__name__}, expected a list of maps."
        )
    require(
        len(maps) == len(specs),
        f"feature_specs lists {len(specs)} levels, forward returned {len(maps)}: list all levels.",
    )
    for level, (features, spec) in enumerate(zip(maps, specs, strict=True)):
        if features.ndim != 4 or len(features) != count:  # noqa: PLR2004  # (B, C, H, W)
            raise BrokenContractError(
                f"level {level} is {tuple(features.shape)} for {count} images, expected "
                "(B, C, H, W)."
            )
        require(
            features.shape[1] == spec.channels,
            f"feature_specs has {spec.channels} channels at level {level}, forward returned "
            f"{features.shape[1]}: correct feature_specs.",
        )
        _require_stride(level, features, spec, size, cells)


def _require_stride(
    level: int,
    features: Tensor,
    spec: FeatureSpec,
    size: tuple[int, int],
    cells: Mapping[int, tuple[int, ...]],
) -> None:
    map_cells = tuple(features.shape[2:])
    if spec.stride in cells:
        fits, expected = map_cells == cells[spec.stride], f"{cells[spec.stride]}"
    else:
        lowest = [math.floor(side / spec.stride) for side in size]
        highest = [math.ceil(side / spec.stride) for side in size]
        bounds = zip(lowest, map_cells, highest, strict=True)
        fits = all(low <= cell <= high for low, cell, high in bounds)
        expected = f"{tuple(lowest)} to {tuple(highest)}"
    require(
        fits,
        f"feature_specs has stride {spec.stride} at level {level}, forward returned {map_cells} "
        f"cells for images of {size}, expected {expected}: correct the stride, and resize to the "
        "sizes of the input maps, not by a factor.",
    )


def maps_match_feature_specs(subject: Subject) -> None:
    """Number, channels and strides of the levels, over image sizes and batch sizes."""
    if subject.family == "backbone":
        part: Any = subject.build()
        input_specs: list[FeatureSpec] = []
    else:
        part, input_specs = scenes.build_on_levels(subject)
    specs = published(part)
    set_mode(part, training=False)
    for size, count in _SIZES:
        with torch.no_grad():
            if subject.family == "backbone":
                maps, cells = part(scenes.images(size, count)), {}
            else:
                levels = _levels(input_specs, size, count)
                cells = {
                    s.stride: tuple(m.shape[2:]) for s, m in zip(input_specs, levels, strict=True)
                }
                maps = part(levels)
        require_maps(maps, specs, size, count, cells)
        require_finite(maps, f"the maps of images of size {size} are not finite.")


def _levels(specs: Sequence[FeatureSpec], size: tuple[int, int], count: int) -> list[Tensor]:
    return [level.repeat(2, 1, 1, 1)[:count] for level in scenes.maps(specs, size)]


def it_runs_on_the_meta_device(subject: Subject) -> None:
    """On the meta device, where detkit checks that parts fit together before it reads data."""
    with torch.device("meta"):
        if subject.family == "backbone":
            part: Any = subject.build()
            inputs: Any = torch.zeros(2, 3, *scenes.IMAGE)
        else:
            part, input_specs = scenes.build_on_levels(subject)
            inputs = [level.to("meta") for level in scenes.maps(input_specs)]
        set_mode(part, training=False)
        maps = part(inputs)
    require(
        len(maps) == len(published(part)),
        f"on the meta device forward returned {len(maps)} levels, unlike feature_specs.",
    )
    real = [level for level in maps if level.device.type != "meta"]
    require(
        not real, "on the meta device forward returned real tensors: create them on `x.device`."
    )
