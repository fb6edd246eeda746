"""Padding by constants where a network computes it from the size of its maps.

TensorFlow pads a strided convolution so that its output has ceil(size / stride) cells, and timm's
`tf_*` networks do the same in `Conv2dSame`. In a graph with free height and width each such layer
adds an expression of the size, and tracing them takes PyTorch many minutes. If every side is a
multiple of the layer's stride, the padding is a constant.
"""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, nn

from detkit.errors import UserError

_CONVOLUTION = "Conv2dSame"
_POOLINGS = {"AvgPool2dSame", "MaxPool2dSame"}


def with_static_padding(module: nn.Module, images: Tensor, multiple: int) -> nn.Module:
    """A copy of a network whose padding does not depend on the size of the images.

    Args:
        module: The network; it is returned as it is if no layer needs the change.
        images: (B, C, H, W), for a run that shows the map each layer gets. The sides count only as
            multiples of `multiple`.
        multiple: Every side of an image will be a multiple of this.

    Raises:
        UserError: The sides of a layer's map are not always multiples of its stride.
    """
    names = [name for name, layer in module.named_modules() if _class(layer) == _CONVOLUTION]
    pools = sorted({_class(layer) for layer in module.modules()} & _POOLINGS)
    if not names and not pools:
        return module
    if pools or not _divisible(module, names, _odd_multiples(images, multiple)):
        raise UserError(
            f"the backbone pads its maps by amounts that depend on the size of the image (timm's "
            f"{', '.join(pools or [_CONVOLUTION])}), which cannot be traced for any size in "
            "reasonable time: give the size of the images, such as size=[416,416], or let their "
            "sides be multiples of the largest stride, such as augmentation.pad_multiple=32."
        )
    changed = copy.deepcopy(module)
    for name in names:
        parent, _, child = name.rpartition(".")
        setattr(changed.get_submodule(parent), child, _static(changed.get_submodule(name)))
    return changed


def _class(layer: nn.Module) -> str:
    return type(layer).__name__


def _odd_multiples(images: Tensor, multiple: int) -> Tensor:
    """Images whose sides are odd multiples, so that they have no divisor by chance."""
    height, width = ((side // multiple) // 2 * 2 + 1 for side in images.shape[-2:])
    shape = (*images.shape[:2], height * multiple, width * multiple)
    return images.new_full(shape, float(images.flatten()[0]))


def _divisible(module: nn.Module, names: list[str], images: Tensor) -> bool:
    """Whether each convolution gets a map whose sides are multiples of its stride."""
    fits: list[bool] = []

    def check(layer: Any, inputs: tuple[Tensor, ...]) -> None:
        sides = zip(inputs[0].shape[-2:], layer.stride, strict=True)
        fits.append(all(side % stride == 0 for side, stride in sides))

    hooks = [module.get_submodule(name).register_forward_pre_hook(check) for name in names]
    try:
        with torch.no_grad():
            module(images)
    finally:
        for hook in hooks:
            hook.remove()
    return all(fits)


def _static(layer: Any) -> nn.Module:
    """The same convolution after a padding by constants, more of it on the right and below."""
    sides = zip(layer.kernel_size, layer.stride, layer.dilation, strict=True)
    vertical, horizontal = (max((k - 1) * d + 1 - s, 0) for k, s, d in sides)
    padding = nn.ZeroPad2d((horizontal // 2, -(-horizontal // 2), vertical // 2, -(-vertical // 2)))
    convolution = nn.Conv2d(
        layer.in_channels,
        layer.out_channels,
        layer.kernel_size,
        layer.stride,
        dilation=layer.dilation,
        groups=layer.groups,
        bias=layer.bias is not None,
        device="meta",
    )
    convolution.weight, convolution.bias = layer.weight, layer.bias
    return nn.Sequential(padding, convolution)
