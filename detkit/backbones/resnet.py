"""ResNet, ResNeXt and Wide ResNet from torchvision."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial

from torch import nn
from torchvision.models.resnet import Bottleneck

from detkit.backbones.from_torchvision import from_torchvision
from detkit.backbones.network import BatchNormNetwork, Level, Stages
from detkit.backbones.recipe import BatchNorms, Recipe
from detkit.registry import Wired, register

_LAYERS = ("conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4")


class ResNet(BatchNormNetwork):
    """A residual network of torchvision; strides can move, and the last stage can be dilated."""

    def __init__(
        self,
        *,
        fetch_weights: Wired[bool] = True,
        weights: str | None = None,
        norm: BatchNorms = "batch",
        frozen_stages: Stages = 0,
        levels: tuple[Level, ...] = (3, 4, 5),
        dilated_c5: bool = False,
        stride_in_1x1: bool = False,
    ) -> None:
        """Build, load, freeze, replace the norm, move strides, and dilate.

        Args:
            fetch_weights: Whether to load `weights`; false if a checkpoint is loaded instead.
            weights: `imagenet` for the library's published weights, a checkpoint file, or null.
            norm: `frozen_batch` keeps the pretrained statistics, which suits small batches; do not
                use it from scratch, where `group` helps. For batch norm over all devices, see
                `trainer.sync_batchnorm`.
            frozen_stages: Number of frozen stages, from the input: 1 freezes the layers up to
                stride 2, 2 up to stride 4, ..., 5 all.
            levels: Output levels, fine to coarse; level l has stride 2**l.
            dilated_c5: Keep stride 16 in the last stage and dilate its convolutions instead. Level
                4 is then the last stage, and there is no level 5: choose levels=[3,4] or [4].
            stride_in_1x1: Put the stride of each bottleneck in its first 1x1 convolution, as in the
                paper and in weights from Caffe; torchvision's weights have it in the 3x3.

        Raises:
            UserError: As for `Network`.
        """
        if stride_in_1x1:
            self.recipe = _with_early_strides(self.recipe)
        if dilated_c5:
            self.recipe = _with_dilation(self.recipe)
        super().__init__(
            fetch_weights=fetch_weights,
            weights=weights,
            norm=norm,
            frozen_stages=frozen_stages,
            levels=levels,
        )


@cache  # because measurements of a recipe are cached, too
def _with_early_strides(recipe: Recipe) -> Recipe:
    return replace(recipe, build=partial(_early_strides, recipe.build))


def _early_strides(build: Callable[[bool], nn.Module], pretrained: bool) -> nn.Module:
    """Build a network whose bottlenecks have their stride in the first convolution."""
    whole = build(pretrained)
    for block in whole.modules():
        if isinstance(block, Bottleneck):
            block.conv1.stride, block.conv2.stride = block.conv2.stride, (1, 1)
    return whole


@cache
def _with_dilation(recipe: Recipe) -> Recipe:
    return replace(recipe, build=partial(_dilated, recipe.build))


def _dilated(build: Callable[[bool], nn.Module], pretrained: bool) -> nn.Module:
    """Build a network whose last stage has stride 1 and dilation 2.

    As in torchvision, the first block's 3x3 convolutions lose their stride and stay undilated.
    torchvision dilates bottlenecks only; this also dilates the basic blocks of smaller networks.
    """
    whole = build(pretrained)
    for index, block in enumerate(whole.get_submodule("layer4").children()):
        for layer in block.modules():
            if isinstance(layer, nn.Conv2d):
                layer.stride = (1, 1)
                if index and layer.kernel_size == (3, 3):
                    layer.padding = layer.dilation = (2, 2)
    return whole


@register("backbone", "resnet18")
class ResNet18(ResNet):
    """ResNet-18 of torchvision, the smallest.

    Paper: Deep Residual Learning for Image Recognition (He et al., 2016),
    https://arxiv.org/abs/1512.03385
    """

    recipe = from_torchvision("resnet18", *_LAYERS)


@register("backbone", "resnet34")
class ResNet34(ResNet):
    """ResNet-34 of torchvision, between 18 and 50.

    Paper: Deep Residual Learning for Image Recognition (He et al., 2016),
    https://arxiv.org/abs/1512.03385
    """

    recipe = from_torchvision("resnet34", *_LAYERS)


@register("backbone", "resnet50")
class ResNet50(ResNet):
    """ResNet-50 of torchvision, the standard backbone of papers.

    Paper: Deep Residual Learning for Image Recognition (He et al., 2016),
    https://arxiv.org/abs/1512.03385
    """

    recipe = from_torchvision("resnet50", *_LAYERS)


@register("backbone", "resnet101")
class ResNet101(ResNet):
    """ResNet-101 of torchvision, a large network.

    Paper: Deep Residual Learning for Image Recognition (He et al., 2016),
    https://arxiv.org/abs/1512.03385
    """

    recipe = from_torchvision("resnet101", *_LAYERS)


@register("backbone", "resnet152")
class ResNet152(ResNet):
    """ResNet-152 of torchvision, the deepest.

    Paper: Deep Residual Learning for Image Recognition (He et al., 2016),
    https://arxiv.org/abs/1512.03385
    """

    recipe = from_torchvision("resnet152", *_LAYERS)


@register("backbone", "resnext50_32x4d")
class ResNeXt50(ResNet):
    """ResNeXt-50 of torchvision: ResNet-50 with 32 groups in its 3x3 convolutions.

    Paper: Aggregated Residual Transformations for Deep Neural Networks (Xie et al., 2017),
    https://arxiv.org/abs/1611.05431
    """

    recipe = from_torchvision("resnext50_32x4d", *_LAYERS)


@register("backbone", "resnext101_32x8d")
class ResNeXt101(ResNet):
    """ResNeXt-101 of torchvision with 32 groups of 8 channels.

    Paper: Aggregated Residual Transformations for Deep Neural Networks (Xie et al., 2017),
    https://arxiv.org/abs/1611.05431
    """

    recipe = from_torchvision("resnext101_32x8d", *_LAYERS)


@register("backbone", "resnext101_64x4d")
class ResNeXt101Groups64(ResNet):
    """ResNeXt-101 of torchvision with 64 groups of 4 channels.

    Paper: Aggregated Residual Transformations for Deep Neural Networks (Xie et al., 2017),
    https://arxiv.org/abs/1611.05431
    """

    recipe = from_torchvision("resnext101_64x4d", *_LAYERS)


@register("backbone", "wide_resnet50_2")
class WideResNet50(ResNet):
    """ResNet-50 of torchvision with 3x3 convolutions of twice the channels.

    Paper: Wide Residual Networks (Zagoruyko and Komodakis, 2016),
    https://arxiv.org/abs/1605.07146
    """

    recipe = from_torchvision("wide_resnet50_2", *_LAYERS)
