"""ResNet, ResNeXt and Wide ResNet from torchvision."""

from __future__ import annotations

from detkit.backbones.from_torchvision import from_torchvision
from detkit.backbones.network import BatchNormNetwork
from detkit.registry import register

_LAYERS = ("conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4")


@register("backbone", "resnet18")
class ResNet18(BatchNormNetwork):
    """ResNet-18 of torchvision, the smallest.

    Paper: Deep Residual Learning for Image Recognition (He et al., 2016),
    https://arxiv.org/abs/1512.03385
    """

    recipe = from_torchvision("resnet18", *_LAYERS)


@register("backbone", "resnet34")
class ResNet34(BatchNormNetwork):
    """ResNet-34 of torchvision, between 18 and 50.

    Paper: Deep Residual Learning for Image Recognition (He et al., 2016),
    https://arxiv.org/abs/1512.03385
    """

    recipe = from_torchvision("resnet34", *_LAYERS)


@register("backbone", "resnet50")
class ResNet50(BatchNormNetwork):
    """ResNet-50 of torchvision, the standard backbone of papers.

    Paper: Deep Residual Learning for Image Recognition (He et al., 2016),
    https://arxiv.org/abs/1512.03385
    """

    recipe = from_torchvision("resnet50", *_LAYERS)


@register("backbone", "resnet101")
class ResNet101(BatchNormNetwork):
    """ResNet-101 of torchvision, a large network.

    Paper: Deep Residual Learning for Image Recognition (He et al., 2016),
    https://arxiv.org/abs/1512.03385
    """

    recipe = from_torchvision("resnet101", *_LAYERS)


@register("backbone", "resnet152")
class ResNet152(BatchNormNetwork):
    """ResNet-152 of torchvision, the deepest.

    Paper: Deep Residual Learning for Image Recognition (He et al., 2016),
    https://arxiv.org/abs/1512.03385
    """

    recipe = from_torchvision("resnet152", *_LAYERS)


@register("backbone", "resnext50_32x4d")
class ResNeXt50(BatchNormNetwork):
    """ResNeXt-50 of torchvision: ResNet-50 with 32 groups in its 3x3 convolutions.

    Paper: Aggregated Residual Transformations for Deep Neural Networks (Xie et al., 2017),
    https://arxiv.org/abs/1611.05431
    """

    recipe = from_torchvision("resnext50_32x4d", *_LAYERS)


@register("backbone", "resnext101_32x8d")
class ResNeXt101(BatchNormNetwork):
    """ResNeXt-101 of torchvision with 32 groups of 8 channels.

    Paper: Aggregated Residual Transformations for Deep Neural Networks (Xie et al., 2017),
    https://arxiv.org/abs/1611.05431
    """

    recipe = from_torchvision("resnext101_32x8d", *_LAYERS)


@register("backbone", "resnext101_64x4d")
class ResNeXt101Groups64(BatchNormNetwork):
    """ResNeXt-101 of torchvision with 64 groups of 4 channels.

    Paper: Aggregated Residual Transformations for Deep Neural Networks (Xie et al., 2017),
    https://arxiv.org/abs/1611.05431
    """

    recipe = from_torchvision("resnext101_64x4d", *_LAYERS)


@register("backbone", "wide_resnet50_2")
class WideResNet50(BatchNormNetwork):
    """ResNet-50 of torchvision with 3x3 convolutions of twice the channels.

    Paper: Wide Residual Networks (Zagoruyko and Komodakis, 2016),
    https://arxiv.org/abs/1605.07146
    """

    recipe = from_torchvision("wide_resnet50_2", *_LAYERS)
