"""Where a network comes from, and which of its layers lead to which feature map."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Literal, NamedTuple

import torch
from torch import nn
from torch.nn import functional as F

from detkit.errors import UserError

BatchNorms = Literal["batch", "frozen_batch", "group"]
_MEASURED = 64  # side of the image that strides are measured with


@dataclass(frozen=True)
class Recipe:
    """A network of a library, and the way through it.

    Attributes:
        model: Its name in the library.
        build: Builds it whole; with the published weights where the argument is true.
        published_at: Where these weights come from, for messages.
        layers: Dotted names in order; `features.*` stands for all children of `features`.
        padded: Layers that the library leaves without padding, and the padding they get here:
            without it each shortens its map and shifts it against the image.
        half_centred: Whether the published weights want pixels in -1..1, not ImageNet's mean 0.
        channels_last: Whether its maps are (B, H, W, C).
        replace_norms: Puts another norm into the place of each batch norm.
    """

    model: str
    build: Callable[[bool], nn.Module]
    published_at: Callable[[], str]
    layers: tuple[str, ...]
    replace_norms: Callable[[nn.Module, BatchNorms], None]
    padded: tuple[tuple[str, int], ...] = ()
    half_centred: bool = False
    channels_last: bool = False


class Layer(NamedTuple):
    """One step on the way, and the map after it."""

    name: str
    channels: int
    stride: int


@cache
def measure(recipe: Recipe) -> tuple[Layer, ...]:
    """Each layer with its true channels and stride, from a run without memory."""
    with torch.device("meta"):
        whole = recipe.build(False).eval()
        features = torch.zeros(1, 3, _MEASURED, _MEASURED)
    found = []
    padding = dict(recipe.padded)
    for name in _expanded(whole, recipe.layers):
        features = F.pad(features, [padding.get(name, 0)] * 4)
        features = whole.get_submodule(name)(features)
        channels, height = features.shape[1:3]
        if recipe.channels_last:
            height, channels = features.shape[1], features.shape[3]
        found.append(Layer(name, channels, _MEASURED // height))
    return tuple(found)


def _expanded(whole: nn.Module, layers: tuple[str, ...]) -> list[str]:
    names = []
    for layer in layers:
        if layer.endswith(".*"):
            parent = layer.removesuffix(".*")
            children = whole.get_submodule(parent).named_children()
            names += [f"{parent}.{name}" for name, _ in children]
        else:
            names.append(layer)
    return names


def deepest_layers(recipe: Recipe, levels: tuple[int, ...]) -> list[Layer]:
    """The last layer of each level's stride.

    Raises:
        UserError: The levels are not in order, or the network has none of that stride.
    """
    deepest = {round(math.log2(layer.stride)): layer for layer in measure(recipe)}
    available = [level for level in deepest if level > 0]
    if not levels or list(levels) != sorted(set(levels)):
        raise UserError(
            f"levels {list(levels)} are not in order: list one or more of "
            f"{', '.join(map(str, available))}, each once, fine to coarse."
        )
    if not set(levels) <= set(available):
        raise UserError(
            f"'{recipe.model}' has no levels {sorted(set(levels) - set(available))}: it gives "
            f"levels {available}; list some of them in `levels`."
        )
    return [deepest[level] for level in levels]
