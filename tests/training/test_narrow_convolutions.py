"""Gradients of narrow strided 1x1 convolutions, for which oneDNN may abort the process."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.testing import assert_close

from detkit.training.trainer import prepare_detector


def gradient(convolution: nn.Conv2d, images: Tensor) -> Tensor:
    return torch.autograd.grad(convolution(images).square().sum(), convolution.weight)[0]


# pain 98
@pytest.mark.parametrize("channels", [3, 4, 12])
def test_gradients_in_channels_last_order_are_right(channels: int) -> None:
    convolution, images = nn.Conv2d(channels, 8, 1, 2), torch.randn(2, channels, 48, 48)
    expected = gradient(convolution, images)
    prepare_detector(convolution, channels_last=True, compile=False)
    images = images.contiguous(memory_format=torch.channels_last)
    for _ in range(3):
        assert_close(gradient(convolution, images), expected, rtol=1e-4, atol=1e-3)


def test_other_convolutions_keep_the_order() -> None:
    convolution = nn.Conv2d(16, 8, 3, 2)
    prepare_detector(convolution, channels_last=True, compile=False)
    assert convolution.weight.is_contiguous(memory_format=torch.channels_last)
    assert not convolution._forward_pre_hooks
