"""GoogLeNet and its successors."""

from __future__ import annotations

from detkit.backbones.from_timm import from_timm
from detkit.backbones.from_torchvision import from_torchvision
from detkit.backbones.network import BatchNormNetwork
from detkit.registry import register


@register("backbone", "googlenet")
class GoogLeNet(BatchNormNetwork):
    """GoogLeNet of torchvision, the first Inception network.

    Paper: Going Deeper with Convolutions (Szegedy et al., 2015),
    https://arxiv.org/abs/1409.4842
    """

    recipe = from_torchvision(
        "googlenet",
        *("conv1", "maxpool1", "conv2", "conv3", "maxpool2", "inception3a", "inception3b"),
        *("maxpool3", "inception4a", "inception4b", "inception4c", "inception4d", "inception4e"),
        *("maxpool4", "inception5a", "inception5b"),
        half_centred=True,
        aux_logits=False,
        init_weights=True,
    )


@register("backbone", "inception_v3")
class InceptionV3(BatchNormNetwork):
    """Inception v3 of torchvision: factorised convolutions.

    Paper: Rethinking the Inception Architecture for Computer Vision (Szegedy et al., 2016),
    https://arxiv.org/abs/1512.00567

    Unpadded layers are padded, so that maps align with the image; weights still fit.
    """

    recipe = from_torchvision(
        "inception_v3",
        *("Conv2d_1a_3x3", "Conv2d_2a_3x3", "Conv2d_2b_3x3", "maxpool1", "Conv2d_3b_1x1"),
        *("Conv2d_4a_3x3", "maxpool2", "Mixed_5b", "Mixed_5c", "Mixed_5d", "Mixed_6a"),
        *("Mixed_6b", "Mixed_6c", "Mixed_6d", "Mixed_6e", "Mixed_7a", "Mixed_7b", "Mixed_7c"),
        padded={
            **dict.fromkeys(("Conv2d_1a_3x3", "Conv2d_2a_3x3", "maxpool1", "Conv2d_4a_3x3"), 1),
            **dict.fromkeys(("maxpool2", "Mixed_6a", "Mixed_7a"), 1),
        },
        half_centred=True,
        aux_logits=False,
        init_weights=True,
    )


@register("backbone", "xception")
class Xception(BatchNormNetwork):
    """Xception of timm: Inception taken to depthwise separable convolutions.

    Paper: Xception: Deep Learning with Depthwise Separable Convolutions (Chollet, 2017),
    https://arxiv.org/abs/1610.02357

    Unpadded layers are padded, so that maps align with the image; weights still fit.
    """

    recipe = from_timm(
        "legacy_xception.tf_in1k",
        *("conv1", "bn1", "act1", "conv2", "bn2", "act2"),
        *(f"block{number}" for number in range(1, 13)),
        *("conv3", "bn3", "act3", "conv4", "bn4", "act4"),
        padded={"conv1": 1, "conv2": 1},
        half_centred=True,
    )
