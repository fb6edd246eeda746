"""AlexNet of torchvision."""

from __future__ import annotations

from detkit.backbones.from_torchvision import from_torchvision
from detkit.backbones.network import Network
from detkit.registry import register


@register("backbone", "alexnet")
class AlexNet(Network):
    """AlexNet of torchvision: five convolutions without norms, for a historical comparison.

    Paper: One weird trick for parallelizing convolutional neural networks (Krizhevsky, 2014),
    https://arxiv.org/abs/1404.5997

    Without norms it needs a low learning rate, pretrained weights or both. The first convolution
    and the poolings get more padding than in torchvision, so that maps align with the image;
    weights still fit.
    """

    recipe = from_torchvision(
        "alexnet",
        "features.*",
        padded={"features.0": 2, "features.2": 1, "features.5": 1, "features.12": 1},
    )
