"""VGG networks of torchvision."""

from __future__ import annotations

from detkit.backbones.from_torchvision import from_torchvision
from detkit.backbones.network import BatchNormNetwork, Network
from detkit.registry import register


@register("backbone", "vgg16")
class VGG16(Network):
    """VGG-16 of torchvision, without norms, as the early detectors used it.

    Paper: Very Deep Convolutional Networks for Large-Scale Image Recognition (Simonyan and
    Zisserman, 2015), https://arxiv.org/abs/1409.1556

    Its coarsest map, of level 5, is level 4's after max pooling.
    """

    recipe = from_torchvision("vgg16", "features.*")


@register("backbone", "vgg16_bn")
class VGG16Norm(BatchNormNetwork):
    """VGG-16 of torchvision with batch norm.

    Paper: Very Deep Convolutional Networks for Large-Scale Image Recognition (Simonyan and
    Zisserman, 2015), https://arxiv.org/abs/1409.1556

    Its coarsest map, of level 5, is level 4's after max pooling.
    """

    recipe = from_torchvision("vgg16_bn", "features.*")


@register("backbone", "vgg19_bn")
class VGG19Norm(BatchNormNetwork):
    """VGG-19 of torchvision with batch norm.

    Paper: Very Deep Convolutional Networks for Large-Scale Image Recognition (Simonyan and
    Zisserman, 2015), https://arxiv.org/abs/1409.1556

    Its coarsest map, of level 5, is level 4's after max pooling.
    """

    recipe = from_torchvision("vgg19_bn", "features.*")
