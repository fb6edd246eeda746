"""The convolutions of MobileNet detectors."""

from __future__ import annotations

from torch import nn

MOBILE_STD = 0.03  # of the initial weights, as in torchvision
# As in torchvision's SSDlite: running statistics change more slowly than torch's default.
_EPSILON, _MOMENTUM = 0.001, 0.03


def mobile_norm(channels: int) -> nn.BatchNorm2d:
    """The batch normalisation of these detectors."""
    return nn.BatchNorm2d(channels, eps=_EPSILON, momentum=_MOMENTUM)


def mobile_conv(in_channels: int, out_channels: int) -> nn.Sequential:
    """A 1x1 convolution, which mixes channels, with batch norm and ReLU6."""
    conv = nn.Conv2d(in_channels, out_channels, 1, bias=False)
    return nn.Sequential(conv, mobile_norm(out_channels), nn.ReLU6(inplace=True))


def depthwise_conv(channels: int, stride: int = 1) -> nn.Sequential:
    """A depthwise 3x3 convolution with batch norm and ReLU6."""
    conv = nn.Conv2d(channels, channels, 3, stride, 1, groups=channels, bias=False)
    return nn.Sequential(conv, mobile_norm(channels), nn.ReLU6(inplace=True))
