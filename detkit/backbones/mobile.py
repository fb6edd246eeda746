"""Mobile networks: MobileNet v1 to v3, ShuffleNet v2, EfficientNet-B0."""

from __future__ import annotations

from detkit.backbones.from_timm import from_timm
from detkit.backbones.from_torchvision import from_torchvision
from detkit.backbones.network import BatchNormNetwork
from detkit.registry import register


@register("backbone", "mobilenet_v1")
class MobileNetV1(BatchNormNetwork):
    """MobileNet v1 of timm: depthwise separable convolutions, no residuals.

    For the paper's width multiplier, choose backbone `timm` with model=mobilenetv1_125; its
    resolution multiplier is `image_size`.

    Paper: MobileNets: Efficient Convolutional Neural Networks for Mobile Vision Applications
    (Howard et al., 2017), https://arxiv.org/abs/1704.04861
    """

    recipe = from_timm(
        "mobilenetv1_100.ra4_e3600_r224_in1k", "conv_stem", "bn1", "blocks.*", half_centred=True
    )


@register("backbone", "mobilenet_v2")
class MobileNetV2(BatchNormNetwork):
    """MobileNet v2 of torchvision: inverted residuals.

    For other widths, choose backbone `timm` with model=mobilenetv2_035, 050, 075 or 140.

    Paper: MobileNetV2: Inverted Residuals and Linear Bottlenecks (Sandler et al., 2018),
    https://arxiv.org/abs/1801.04381
    """

    recipe = from_torchvision("mobilenet_v2", "features.*")


@register("backbone", "mobilenet_v3_large")
class MobileNetV3Large(BatchNormNetwork):
    """MobileNet v3 of torchvision, the larger: found by search, with SE blocks.

    Paper: Searching for MobileNetV3 (Howard et al., 2019), https://arxiv.org/abs/1905.02244
    """

    recipe = from_torchvision("mobilenet_v3_large", "features.*")


@register("backbone", "mobilenet_v3_small")
class MobileNetV3Small(BatchNormNetwork):
    """MobileNet v3 of torchvision, the smaller: found by search, with SE blocks.

    Paper: Searching for MobileNetV3 (Howard et al., 2019), https://arxiv.org/abs/1905.02244
    """

    recipe = from_torchvision("mobilenet_v3_small", "features.*")


@register("backbone", "shufflenet_v2_x0_5")
class ShuffleNetHalf(BatchNormNetwork):
    """ShuffleNet v2 of torchvision, half as wide: one of the fastest networks.

    Paper: ShuffleNet V2: Practical Guidelines for Efficient CNN Architecture Design (Ma et al.,
    2018), https://arxiv.org/abs/1807.11164
    """

    recipe = from_torchvision(
        "shufflenet_v2_x0_5", "conv1", "maxpool", "stage2", "stage3", "stage4", "conv5"
    )


@register("backbone", "shufflenet_v2_x1_0")
class ShuffleNet(BatchNormNetwork):
    """ShuffleNet v2 of torchvision: channel splits and shuffles.

    Paper: ShuffleNet V2: Practical Guidelines for Efficient CNN Architecture Design (Ma et al.,
    2018), https://arxiv.org/abs/1807.11164
    """

    recipe = from_torchvision(
        "shufflenet_v2_x1_0", "conv1", "maxpool", "stage2", "stage3", "stage4", "conv5"
    )


@register("backbone", "efficientnet_b0")
class EfficientNetB0(BatchNormNetwork):
    """EfficientNet-B0 of torchvision, the base of the family.

    Paper: EfficientNet: Rethinking Model Scaling for Convolutional Neural Networks (Tan and Le,
    2019), https://arxiv.org/abs/1905.11946
    """

    recipe = from_torchvision("efficientnet_b0", "features.*")
