"""SqueezeNet of torchvision."""

from __future__ import annotations

from detkit.backbones.from_torchvision import from_torchvision
from detkit.backbones.network import Level, Network, Stages
from detkit.registry import Wired, register


@register("backbone", "squeezenet1_1")
class SqueezeNet(Network):
    """SqueezeNet 1.1 of torchvision, very small; it ends at stride 16.

    Paper: SqueezeNet: AlexNet-level Accuracy with 50x Fewer Parameters and <0.5MB Model Size
    (Iandola et al., 2016), https://arxiv.org/abs/1602.07360

    Its unpadded first layer is padded, so that maps align with the image; weights still fit.
    """

    recipe = from_torchvision("squeezenet1_1", "features.*", padded={"features.0": 1})

    def __init__(
        self,
        *,
        fetch_weights: Wired[bool] = True,
        weights: str | None = None,
        frozen_stages: Stages = 0,
        levels: tuple[Level, ...] = (2, 3, 4),
    ) -> None:
        """Build, load and freeze.

        Args:
            fetch_weights: Whether to load `weights`; false if a checkpoint is loaded instead.
            weights: `imagenet` for torchvision's published weights, a checkpoint file, or null.
            frozen_stages: Number of frozen stages, from the input: 1 freezes the layers up to
                stride 2, 2 up to stride 4, ..., 4 all.
            levels: Output levels, fine to coarse; level l has stride 2**l.
        """
        super().__init__(
            fetch_weights=fetch_weights,
            weights=weights,
            frozen_stages=frozen_stages,
            levels=levels,
        )
