"""Contracts of poolings, box heads and mask heads: maps, features or masks of each region."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from detkit.contracts import scenes
from detkit.contracts.case import CLASS_NAMES, BrokenContractError, Subject
from detkit.contracts.network_trials import require_gradients, set_mode
from detkit.contracts.tensor_checks import require, require_close, require_finite

_COUNTS = (0, 1, scenes.MANY)  # for poolings
_FEW = (0, 1, 5, 64)  # for box heads, which are slower


def _pooling(subject: Subject) -> tuple[Any, list[Tensor]]:
    part, specs = scenes.build_on_levels(subject)
    set_mode(part, training=False)
    return part, scenes.maps(specs)


def _image_indices(count: int) -> Tensor:
    return torch.arange(count) % 2


def maps_match_region_shape(subject: Subject) -> None:
    """A map (channels, height, width) for each region: for no region, one and many."""
    part, features = _pooling(subject)
    shape = getattr(part, "region_shape", None)
    if not isinstance(shape, tuple) or [type(n) for n in shape] != [int] * 3:
        raise BrokenContractError(
            f"`region_shape` is {shape!r}, expected a tuple (channels, height, width)."
        )
    for count in _COUNTS:
        boxes = scenes.boxes_in(scenes.IMAGE, count)
        maps = part(features, boxes, _image_indices(count))
        require(
            isinstance(maps, Tensor) and tuple(maps.shape) == (count, *shape),
            f"{count} regions gave {tuple(getattr(maps, 'shape', ()))}, expected "
            f"{(count, *shape)} by region_shape: return one map for each region, also for none.",
        )
        require_finite(maps, f"the maps of {count} regions are not finite.")


def regions_are_pooled_from_their_own_image(subject: Subject) -> None:
    """Neither the other image nor other regions affect the map of a region."""
    part, features = _pooling(subject)
    boxes, image = scenes.boxes_in(scenes.IMAGE, 6), _image_indices(6)
    maps = part(features, boxes, image)
    changed_features = [level.clone() for level in features]
    for level in changed_features:
        level[1] += 1
    first = image == 0
    pooled = part(changed_features, boxes[first], image[first])
    require_close(
        pooled,
        maps[first],
        "the map of a region depends on the other image or on other regions: pool each region from "
        "its image (`image`).",
    )
    pooled_second = part(changed_features, boxes[~first], image[~first])
    require(
        not torch.allclose(pooled_second, maps[~first]),
        "a region of the second image is not pooled from the second image: use `image`.",
    )


def regions_without_area_give_finite_maps(subject: Subject) -> None:
    """Points, lines and boxes outside of the image give finite maps."""
    part, features = _pooling(subject)
    boxes = torch.tensor([[5.0, 5, 5, 5], [5, 5, 5, 40], [-50, -50, -9, -9], [-9, -9, 900, 900]])
    require_finite(
        part(features, boxes, torch.zeros(4, dtype=torch.int64)),
        "regions without area or outside of the image gave maps that are not finite.",
    )


def gradients_reach_the_feature_levels(subject: Subject) -> None:
    """Also without any region."""
    part, features = _pooling(subject)
    for count in (0, 8):
        levels = [level.clone().requires_grad_() for level in features]
        maps = part(levels, scenes.boxes_in(scenes.IMAGE, count), _image_indices(count))
        require(
            maps.requires_grad, f"{count} regions gave maps without a gradient: do not detach them."
        )
        maps.sum().backward()
        require(
            any(level.grad is not None for level in levels),
            f"no gradient of {count} regions reaches the feature levels: do not detach them.",
        )


def features_match_out_channels(subject: Subject) -> None:
    """For no region, one and many."""
    part, shape = scenes.build_on_region(subject)
    set_mode(part, training=False)
    width = getattr(part, "out_channels", None)
    require(isinstance(width, int), f"`out_channels` is {width!r}, expected an int: set it.")
    for count in _FEW:
        features = part(scenes.random(count, *shape))
        require(
            isinstance(features, Tensor) and tuple(features.shape) == (count, width),
            f"{count} regions gave {tuple(getattr(features, 'shape', ()))}, expected ({count}, "
            f"{width}) by out_channels.",
        )
        require_finite(features, f"the features of {count} regions are not finite.")


def gradients_flow_for_any_number_of_regions(subject: Subject) -> None:
    """Including none, as in a batch without proposals."""
    for count in (0, 2):
        part, shape = scenes.build_on_region(subject)
        set_mode(part, training=True)
        features = part(scenes.random(count, *shape))
        require_gradients(part, features.sum(), f"from {count} regions")


def masks_have_a_map_for_each_class(subject: Subject) -> None:
    """A map of each class, as large as `side` says: for no region, one and many."""
    part, features = _pooling(subject)
    for count in _FEW:
        logits = part(features, scenes.boxes_in(scenes.IMAGE, count), _image_indices(count))
        expected = (count, len(CLASS_NAMES), part.side, part.side)
        require(
            isinstance(logits, Tensor) and tuple(logits.shape) == expected,
            f"{count} regions gave {tuple(getattr(logits, 'shape', ()))}, expected {expected}: "
            "return a map of logits for each class, of the size that `side` says.",
        )
        require_finite(logits, f"the logits of {count} regions are not finite.")


def mask_gradients_flow_for_any_number_of_regions(subject: Subject) -> None:
    """Including none, as in a batch without objects."""
    for count in (0, 2):
        part, features = _pooling(subject)
        set_mode(part, training=True)
        logits = part(features, scenes.boxes_in(scenes.IMAGE, count), _image_indices(count))
        require_gradients(part, logits.sum(), f"from {count} regions")
