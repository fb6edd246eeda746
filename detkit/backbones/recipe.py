"""Recipes: the source of a network, and the layers that lead to its feature maps."""

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
from detkit.structures.published_weights import PublishedWeights

BatchNorms = Literal["batch", "frozen_batch", "group"]
_IMAGE_SIDE = 64  # of the image used to measure strides


@dataclass(frozen=True)
class Recipe:
    """A library's network, and the layers to run.

    Attributes:
        model: Its name in the library.
        build: Builds the full network, with the published weights if its argument is true.
        published: Describes these weights.
        layers: Dotted names in order; `features.*` stands for all children of `features`.
        padded: Extra padding by layer, for layers without padding in the library: they would
            shrink the map and shift it relative to the image.
        half_centred: Whether the published weights expect pixels in -1..1 instead of ImageNet's
            normalisation.
        channels_last: Whether its maps are (B, H, W, C).
        replace_norms: Replaces each batch norm by another norm.
    """

    model: str
    build: Callable[[bool], nn.Module]
    published: Callable[[], PublishedWeights | None]
    layers: tuple[str, ...]
    replace_norms: Callable[[nn.Module, BatchNorms], None]
    padded: tuple[tuple[str, int], ...] = ()
    half_centred: bool = False
    channels_last: bool = False


class Layer(NamedTuple):
    """A layer, with the channels and stride of its output."""

    name: str
    channels: int
    stride: int


@cache
def measure(recipe: Recipe) -> tuple[Layer, ...]:
    """Each layer with its channels and stride, from a run on the meta device."""
    with torch.device("meta"):
        full_model = recipe.build(False).eval()
        features = torch.zeros(1, 3, _IMAGE_SIDE, _IMAGE_SIDE)
    measured = []
    padding = dict(recipe.padded)
    for name in _expanded(full_model, recipe.layers):
        features = F.pad(features, [padding.get(name, 0)] * 4)
        features = full_model.get_submodule(name)(features)
        channels, height = features.shape[1:3]
        if recipe.channels_last:
            height, channels = features.shape[1], features.shape[3]
        measured.append(Layer(name, channels, _IMAGE_SIDE // height))
    return tuple(measured)


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
        UserError: The levels are not in order, or the network does not have them.
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
