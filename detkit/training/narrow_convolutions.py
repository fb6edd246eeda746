"""Keep narrow strided 1x1 convolutions away from a fault in oneDNN."""

from __future__ import annotations

import torch
from torch import Tensor, nn

_BLOCK = 16  # channels that a kernel processes at once: 16 with AVX-512, 8 with AVX2


def avoid_faulty_kernel(network: nn.Module) -> None:
    """Let narrow strided 1x1 convolutions run in PyTorch's usual memory order on a CPU.

    In channels-last order, oneDNN's gradient of their weights writes beyond its workspace if the
    input channels do not fill a block: the process aborts or hangs, or the gradient is wrong. Seen
    with PyTorch 2.14 and 1x1 convolutions of 3 to 12 channels with stride 2; 16 channels, stride 1
    and the usual order are right. https://github.com/uxlfoundation/oneDNN/issues/6035

    Args:
        network: A network whose weights are in channels-last order; changed in place.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d) and _is_affected(module):
            weight = module.weight.data
            module.weight.data = weight.clone(memory_format=torch.contiguous_format)
            module.register_forward_pre_hook(_in_usual_order)


def _is_affected(convolution: nn.Conv2d) -> bool:
    is_strided = set(convolution.kernel_size) == {1} and max(convolution.stride) > 1
    return is_strided and convolution.in_channels // convolution.groups < _BLOCK


def _in_usual_order(convolution: nn.Module, inputs: tuple[Tensor]) -> tuple[Tensor]:
    """The features of a convolution, copied on a CPU only; its weights are in the usual order."""
    del convolution
    (features,) = inputs
    return (features.contiguous() if features.device.type == "cpu" else features,)
