"""What backbones and necks promise: maps as their `feature_specs` say."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from detkit.contracts import scenes
from detkit.contracts.case import BrokenContractError, Subject
from detkit.contracts.networks import set_mode
from detkit.contracts.tensor_checks import require, require_finite
from detkit.structures import FeatureSpec

# (height, width) and number of images; odd sides come with images that are not padded.
_SIZES = [((96, 160), 2), ((75, 107), 1), ((64, 64), 3)]


def published(part: Any) -> list[FeatureSpec]:
    """The specs that a part tells those after it.

    Raises:
        BrokenContractError: It has none, or they are of another form.
    """
    specs = getattr(part, "feature_specs", None)
    if not isinstance(specs, list) or not all(isinstance(each, FeatureSpec) for each in specs):
        raise BrokenContractError(
            f"`feature_specs` is {_shown(specs)}, expected a list of FeatureSpec(channels, stride):"
            " set it in __init__, one for each level that comes out."
        )
    require(len(specs) > 0, "`feature_specs` is empty, expected at least one level.")
    strides = [spec.stride for spec in specs]
    require(
        strides == sorted(strides),
        f"`feature_specs` has the strides {strides}, expected fine to coarse: sort the levels.",
    )
    return specs


def _shown(value: Any) -> str:
    return "missing" if value is None else repr(value)


def require_maps(
    found: Any,
    specs: Sequence[FeatureSpec],
    size: tuple[int, int],
    count: int,
    cells: Mapping[int, tuple[int, ...]],
) -> None:
    """See that maps are what specs say, for images of a size.

    Args:
        found: What the part gave.
        specs: What it published.
        size: (height, width) of the images.
        count: How many images there are.
        cells: By stride, the (height, width) that maps of this stride had as they came in.

    Raises:
        BrokenContractError: They are not.
    """
    if not isinstance(found, list | tuple) or not all(isinstance(each, Tensor) for each in found):
        raise BrokenContractError(f"forward gave {type(found).__name__}, expected a list of maps.")
    require(
        len(found) == len(specs),
        f"feature_specs lists {len(specs)} levels, forward gave {len(found)}: list each one.",
    )
    for level, (each, spec) in enumerate(zip(found, specs, strict=True)):
        if each.ndim != 4 or len(each) != count:  # noqa: PLR2004  # (B, C, H, W)
            raise BrokenContractError(
                f"level {level} is {tuple(each.shape)} for {count} images, expected (B, C, H, W)."
            )
        require(
            each.shape[1] == spec.channels,
            f"feature_specs says {spec.channels} channels at level {level}, forward gave "
            f"{each.shape[1]}: let feature_specs say what forward gives.",
        )
        found_cells = tuple(each.shape[2:])
        if spec.stride in cells:
            fits, wanted = found_cells == cells[spec.stride], f"{cells[spec.stride]}"
        else:
            lowest = [math.floor(side / spec.stride) for side in size]
            highest = [math.ceil(side / spec.stride) for side in size]
            pairs = zip(lowest, found_cells, highest, strict=True)
            fits = all(low <= cell <= high for low, cell, high in pairs)
            wanted = f"{tuple(lowest)} to {tuple(highest)}"
        require(
            fits,
            f"feature_specs says stride {spec.stride} at level {level}, forward gave {found_cells} "
            f"cells for images of {size}, expected {wanted}: let feature_specs say the stride, and "
            "resize to the sizes of maps that come in, not by a factor.",
        )


def maps_are_what_feature_specs_say(subject: Subject) -> None:
    """Number, channels and strides of the levels, over image sizes and batch sizes."""
    if subject.family == "backbone":
        part: Any = subject.build()
        given: list[FeatureSpec] = []
    else:
        part, given = scenes.build_on_levels(subject)
    specs = published(part)
    set_mode(part, training=False)
    for size, count in _SIZES:
        with torch.no_grad():
            if subject.family == "backbone":
                found, cells = part(scenes.images(size, count)), {}
            else:
                levels = _levels(given, size, count)
                cells = {s.stride: tuple(m.shape[2:]) for s, m in zip(given, levels, strict=True)}
                found = part(levels)
        require_maps(found, specs, size, count, cells)
        require_finite(found, f"the maps of images of {size} are not finite.")


def _levels(specs: Sequence[FeatureSpec], size: tuple[int, int], count: int) -> list[Tensor]:
    return [level.repeat(2, 1, 1, 1)[:count] for level in scenes.maps(specs, size)]


def shapes_are_known_without_memory(subject: Subject) -> None:
    """On the meta device, where detkit finds out whether parts fit before data is read."""
    with torch.device("meta"):
        if subject.family == "backbone":
            part: Any = subject.build()
            inputs: Any = torch.zeros(2, 3, *scenes.IMAGE)
        else:
            part, given = scenes.build_on_levels(subject)
            inputs = [level.to("meta") for level in scenes.maps(given)]
        set_mode(part, training=False)
        found = part(inputs)
    require(
        len(found) == len(published(part)),
        f"on the meta device forward gave {len(found)} levels, feature_specs lists others.",
    )
    real = [level for level in found if level.device.type != "meta"]
    require(not real, "on the meta device forward gave real tensors: create them on `x.device`.")
