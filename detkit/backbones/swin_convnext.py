"""Swin and ConvNeXt, networks that start with 4x4 patches, from torchvision."""

from __future__ import annotations

from detkit.backbones.from_torchvision import from_torchvision
from detkit.backbones.network import Network
from detkit.registry import register


@register("backbone", "swin_tiny")
class SwinTiny(Network):
    """Swin-T of torchvision: attention inside shifted windows, of ResNet-50's size.

    Paper: Swin Transformer: Hierarchical Vision Transformer using Shifted Windows (Liu et al.,
    2021), https://arxiv.org/abs/2103.14030

    Accepts images of any size: maps are padded to whole windows. Level 2 is the finest.
    """

    recipe = from_torchvision("swin_t", "features.*", channels_last=True)


@register("backbone", "swin_small")
class SwinSmall(Network):
    """Swin-S of torchvision, of ResNet-101's size.

    Paper: Swin Transformer: Hierarchical Vision Transformer using Shifted Windows (Liu et al.,
    2021), https://arxiv.org/abs/2103.14030

    Accepts images of any size: maps are padded to whole windows. Level 2 is the finest.
    """

    recipe = from_torchvision("swin_s", "features.*", channels_last=True)


@register("backbone", "swin_base")
class SwinBase(Network):
    """Swin-B of torchvision, a large network.

    Paper: Swin Transformer: Hierarchical Vision Transformer using Shifted Windows (Liu et al.,
    2021), https://arxiv.org/abs/2103.14030

    Accepts images of any size: maps are padded to whole windows. Level 2 is the finest.
    """

    recipe = from_torchvision("swin_b", "features.*", channels_last=True)


@register("backbone", "convnext_tiny")
class ConvNeXtTiny(Network):
    """ConvNeXt-T of torchvision: a convolutional network with the design of Swin-T.

    Paper: A ConvNet for the 2020s (Liu et al., 2022), https://arxiv.org/abs/2201.03545

    Level 2 is the finest.
    """

    recipe = from_torchvision("convnext_tiny", "features.*")


@register("backbone", "convnext_small")
class ConvNeXtSmall(Network):
    """ConvNeXt-S of torchvision, with the design of Swin-S.

    Paper: A ConvNet for the 2020s (Liu et al., 2022), https://arxiv.org/abs/2201.03545

    Level 2 is the finest.
    """

    recipe = from_torchvision("convnext_small", "features.*")


@register("backbone", "convnext_base")
class ConvNeXtBase(Network):
    """ConvNeXt-B of torchvision, with the design of Swin-B.

    Paper: A ConvNet for the 2020s (Liu et al., 2022), https://arxiv.org/abs/2201.03545

    Level 2 is the finest.
    """

    recipe = from_torchvision("convnext_base", "features.*")
