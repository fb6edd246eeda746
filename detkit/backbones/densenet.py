"""DenseNets of torchvision."""

from __future__ import annotations

from detkit.backbones.from_torchvision import from_torchvision
from detkit.backbones.network import BatchNormNetwork
from detkit.registry import register


@register("backbone", "densenet121")
class DenseNet121(BatchNormNetwork):
    """DenseNet-121 of torchvision, the smallest: each layer is connected to all earlier ones.

    Paper: Densely Connected Convolutional Networks (Huang et al., 2017),
    https://arxiv.org/abs/1608.06993
    """

    recipe = from_torchvision("densenet121", "features.*")


@register("backbone", "densenet169")
class DenseNet169(BatchNormNetwork):
    """DenseNet-169 of torchvision, between 121 and 201.

    Paper: Densely Connected Convolutional Networks (Huang et al., 2017),
    https://arxiv.org/abs/1608.06993
    """

    recipe = from_torchvision("densenet169", "features.*")


@register("backbone", "densenet201")
class DenseNet201(BatchNormNetwork):
    """DenseNet-201 of torchvision, the deepest.

    Paper: Densely Connected Convolutional Networks (Huang et al., 2017),
    https://arxiv.org/abs/1608.06993
    """

    recipe = from_torchvision("densenet201", "features.*")
