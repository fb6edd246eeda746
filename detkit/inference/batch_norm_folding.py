"""A detector that only predicts, made ready for it: what training needs is in the way of speed."""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_weights

from detkit.ops.cross_mini_batch_norm import CrossMiniBatchNorm
from detkit.ops.frozen_batch_norm import FrozenBatchNorm

_TOLERANCE = 1e-3  # of the largest output; what rounding leaves is a hundred times less
_OTHER_NORMS = (CrossMiniBatchNorm, FrozenBatchNorm)  # with the values of a batch norm


def ready_to_predict(detector: nn.Module, images: Tensor) -> nn.Module:
    """A detector for predictions only: no batch norms, and weights in channels-last order.

    Scores differ from the unfolded detector's by rounding only.

    Args:
        detector: On the images' device, in that order and in evaluation mode afterwards.
        images: (B, 3, H, W) that its `forward` takes, to see how it runs.
    """
    detector.to(images.device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
    return fold_batch_norms(detector, images)


@torch.no_grad()
def fold_batch_norms(detector: nn.Module, images: Tensor) -> nn.Module:
    """A copy of a detector without the batch norms that follow a convolution directly.

    In evaluation a batch norm multiplies and adds constants for each channel, which the weights of
    the convolution can do. Which norm follows which convolution is seen in a run on some images.
    Should the copy's outputs differ by more than rounding (a layer's map may be read elsewhere
    too), the detector is returned as it is.

    Args:
        detector: In evaluation mode; stays as it is.
        images: (B, 3, H, W) that its `forward` takes.
    """
    names, expected = _seen(detector, images)
    if not names:
        return detector
    folded = copy.deepcopy(detector)
    for conv_name, norm_name in names.items():
        _fold(folded.get_submodule(conv_name), folded.get_submodule(norm_name))
        parent, _, name = norm_name.rpartition(".")
        setattr(folded.get_submodule(parent), name, nn.Identity())
    pairs = zip(_tensors(expected), _tensors(folded(images)), strict=True)
    return folded if all(_agree(*pair) for pair in pairs) else detector


def _fold(conv: Any, norm: Any) -> None:
    statistics = norm.running_mean, norm.running_var, norm.eps
    conv.weight, conv.bias = fuse_conv_bn_weights(
        conv.weight, conv.bias, *statistics, norm.weight, norm.bias
    )


def _seen(detector: nn.Module, images: Tensor) -> tuple[dict[str, str], Any]:
    """The norm of each convolution that feeds only this norm, by name, and the outputs."""
    made: dict[int, tuple[Tensor, str]] = {}  # with the maps, so that no address comes twice
    read: dict[str, set[str]] = defaultdict(set)  # norm to convolutions

    def remember(name: str, module: nn.Module, inputs: Any, output: Tensor) -> None:
        made[id(output)] = output, name

    def look_up(name: str, module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
        _, conv = made.get(id(inputs[0]), (None, ""))
        read[name].add(conv)

    hooks = []
    for name, module in detector.named_modules():
        if type(module) is nn.Conv2d:
            hooks.append(module.register_forward_hook(partial(remember, name)))
        elif type(module) is nn.BatchNorm2d or isinstance(module, _OTHER_NORMS):
            hooks.append(module.register_forward_pre_hook(partial(look_up, name)))
    try:
        outputs = detector(images)
    finally:
        for hook in hooks:
            hook.remove()
    norms: dict[str, set[str]] = defaultdict(set)
    for norm, convs in read.items():
        for conv in convs:
            norms[conv].add(norm)
    return {
        conv: norm
        for norm, (conv, *further) in read.items()
        if conv and not further and norms[conv] == {norm}
    }, outputs


def _tensors(outputs: Any) -> Iterator[Tensor]:
    if isinstance(outputs, Tensor):
        yield outputs
    elif isinstance(outputs, tuple | list):
        for output in outputs:
            yield from _tensors(output)


def _agree(first: Tensor, second: Tensor) -> bool:
    """Whether two outputs hold about the same numbers; rounding may swap regions of like scores."""
    if first.shape != second.shape or first.numel() == 0:
        return first.shape == second.shape
    first, second = first.flatten().sort().values, second.flatten().sort().values
    return bool((first - second).abs().amax() <= _TOLERANCE * first.abs().amax())
