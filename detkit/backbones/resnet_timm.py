"""ResNet variants from timm that torchvision does not have."""

from __future__ import annotations

from detkit.backbones.from_timm import from_timm
from detkit.backbones.network import BatchNormNetwork
from detkit.registry import register

_LAYERS = ("conv1", "bn1", "act1", "maxpool", "layer1", "layer2", "layer3", "layer4")


@register("backbone", "seresnet50")
class SEResNet50(BatchNormNetwork):
    """SE-ResNet-50 of timm: ResNet-50 with channel attention in each block.

    Paper: Squeeze-and-Excitation Networks (Hu et al., 2018),
    https://arxiv.org/abs/1709.01507
    """

    recipe = from_timm("seresnet50.a1_in1k", *_LAYERS)


@register("backbone", "seresnext50_32x4d")
class SEResNeXt50(BatchNormNetwork):
    """SE-ResNeXt-50 of timm: grouped convolutions and channel attention.

    Paper: Squeeze-and-Excitation Networks (Hu et al., 2018),
    https://arxiv.org/abs/1709.01507
    """

    recipe = from_timm("seresnext50_32x4d.racm_in1k", *_LAYERS)


@register("backbone", "resnetv2_50")
class ResNetV2Depth50(BatchNormNetwork):
    """ResNet-50 v2 of timm: norm and ReLU before each convolution.

    Paper: Identity Mappings in Deep Residual Networks (He et al., 2016),
    https://arxiv.org/abs/1603.05027
    """

    recipe = from_timm("resnetv2_50.a1h_in1k", "stem", "stages.*", "norm", half_centred=True)


@register("backbone", "resnetv2_101")
class ResNetV2Depth101(BatchNormNetwork):
    """ResNet-101 v2 of timm: norm and ReLU before each convolution.

    Paper: Identity Mappings in Deep Residual Networks (He et al., 2016),
    https://arxiv.org/abs/1603.05027
    """

    recipe = from_timm("resnetv2_101.a1h_in1k", "stem", "stages.*", "norm", half_centred=True)
