"""Let a network that was made for red, green and blue take any number of channels."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from detkit.errors import UserError

COLOURS = 3
_CONSTANT = (COLOURS, 1, 1)  # the shape of a value for each colour


def widen_values(values: Tensor, channels: int, axis: int = 0) -> Tensor:
    """Values of red, green and blue along an axis as values of `channels` channels.

    With more than three channels, the first three keep their values and the others get the mean;
    with one or two, all get the mean.
    """
    if channels == COLOURS:
        return values
    mean = values.mean(axis, keepdim=True)
    if channels < COLOURS:
        return torch.cat([mean] * channels, axis)
    return torch.cat([values, *[mean] * (channels - COLOURS)], axis)


def widen_weights(weights: Tensor, channels: int) -> Tensor:
    """The weights (O, 3, h, w) of a first convolution for `channels` channels.

    They are those of `widen_values` times 3 / channels, so that each filter keeps its sum: an image
    with the same value in all channels gives the same map as before.
    """
    return widen_values(weights, channels, axis=1) * (COLOURS / channels)


def input_channels(network: nn.Module) -> int:
    """The channels of the images that a detector takes; 3 if it does not normalise them."""
    mean = getattr(network, "pixel_mean", None)
    return len(mean) if isinstance(mean, Tensor) else COLOURS


@torch.no_grad()
def widen_input(network: nn.Module, channels: int) -> None:
    """Change the first convolution of a network, in place, to take `channels` channels.

    Constants for each colour are widened too, by `widen_values`.

    Raises:
        UserError: Its first convolution does not take red, green and blue.
    """
    if channels == COLOURS:
        return
    convolutions = [module for module in network.modules() if isinstance(module, nn.Conv2d)]
    if not convolutions or convolutions[0].in_channels != COLOURS:
        raise UserError(
            f"the backbone {type(network).__name__} starts with no convolution of red, green and "
            f"blue that could take {channels} channels: choose another backbone, or set "
            "data.channels=3."
        )
    stem = convolutions[0]
    weights = widen_weights(stem.weight, channels)
    stem.weight = nn.Parameter(weights, requires_grad=stem.weight.requires_grad)
    stem.in_channels = channels
    for module in network.modules():
        for name, constant in module.named_buffers(recurse=False):
            if constant.shape == _CONSTANT:
                setattr(module, name, widen_values(constant, channels))
