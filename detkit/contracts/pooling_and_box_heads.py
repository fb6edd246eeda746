"""What poolings and box heads promise: a map, and features, for each region."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from detkit.contracts import scenes
from detkit.contracts.case import BrokenContractError, Subject
from detkit.contracts.networks import REGION_SHAPE, require_gradients, set_mode
from detkit.contracts.tensor_checks import require, require_close, require_finite

_COUNTS = (0, 1, scenes.MANY)  # for poolings
_FEW = (0, 1, 5, 64)  # for box heads, which take their time


def _pooling(subject: Subject) -> tuple[Any, list[Tensor]]:
    part, specs = scenes.build_on_levels(subject)
    set_mode(part, training=False)
    return part, scenes.maps(specs)


def _rows_of(count: int) -> Tensor:
    return torch.arange(count) % 2


def maps_are_as_region_shape_says(subject: Subject) -> None:
    """For no region, one and many; each a map (channels, height, width)."""
    part, features = _pooling(subject)
    shape = getattr(part, "region_shape", None)
    if not isinstance(shape, tuple) or [type(n) for n in shape] != [int] * 3:
        raise BrokenContractError(
            f"`region_shape` is {shape!r}, expected a tuple (channels, height, width)."
        )
    for count in _COUNTS:
        boxes = scenes.boxes_in(scenes.IMAGE, count)
        found = part(features, boxes, _rows_of(count))
        require(
            isinstance(found, Tensor) and tuple(found.shape) == (count, *shape),
            f"{count} regions gave {tuple(getattr(found, 'shape', ()))}, expected "
            f"{(count, *shape)} by region_shape: give a map for each region, also for none.",
        )
        require_finite(found, f"the maps of {count} regions are not finite.")


def a_region_is_of_its_own_image(subject: Subject) -> None:
    """What the other image holds changes nothing, nor do other regions."""
    part, features = _pooling(subject)
    boxes, image = scenes.boxes_in(scenes.IMAGE, 6), _rows_of(6)
    everything = part(features, boxes, image)
    others = [level.clone() for level in features]
    for level in others:
        level[1] += 1
    first = image == 0
    found = part(others, boxes[first], image[first])
    require_close(
        found,
        everything[first],
        "the map of a region changed with the other image or with other regions: take it from the "
        "image that `image` names.",
    )
    moved = part(others, boxes[~first], image[~first])
    require(
        not torch.allclose(moved, everything[~first]),
        "the map of a region of the second image is not from the second image: look at `image`.",
    )


def regions_without_area_do_no_harm(subject: Subject) -> None:
    """Points, lines, and boxes over the edge give finite maps."""
    part, features = _pooling(subject)
    boxes = torch.tensor([[5.0, 5, 5, 5], [5, 5, 5, 40], [-50, -50, -9, -9], [-9, -9, 900, 900]])
    require_finite(
        part(features, boxes, torch.zeros(4, dtype=torch.int64)),
        "regions without area, or over the edge of the image, gave maps that are not finite.",
    )


def gradients_reach_the_levels(subject: Subject) -> None:
    """Also where there is no region."""
    part, features = _pooling(subject)
    for count in (0, 8):
        given = [level.clone().requires_grad_() for level in features]
        found = part(given, scenes.boxes_in(scenes.IMAGE, count), _rows_of(count))
        require(found.requires_grad, f"{count} regions gave a map without a way for gradients.")
        found.sum().backward()
        require(
            any(level.grad is not None for level in given),
            f"no gradient came back to the levels from {count} regions: do not detach them.",
        )


def features_are_as_wide_as_out_channels_says(subject: Subject) -> None:
    """For no region, one and many."""
    part = subject.build(region_shape=REGION_SHAPE)
    set_mode(part, training=False)
    width = getattr(part, "out_channels", None)
    require(isinstance(width, int), f"`out_channels` is {width!r}, expected an int: set it.")
    for count in _FEW:
        found = part(scenes.random(count, *REGION_SHAPE))
        require(
            isinstance(found, Tensor) and tuple(found.shape) == (count, width),
            f"{count} regions gave {tuple(getattr(found, 'shape', ()))}, expected ({count}, "
            f"{width}) by out_channels.",
        )
        require_finite(found, f"the features of {count} regions are not finite.")


def any_number_of_regions_gives_gradients(subject: Subject) -> None:
    """Also none at all, as in a batch of images where nothing is proposed."""
    for count in (0, 2):
        part = subject.build(region_shape=REGION_SHAPE)
        set_mode(part, training=True)
        found = part(scenes.random(count, *REGION_SHAPE))
        require_gradients(part, found.sum(), f"from {count} regions")
