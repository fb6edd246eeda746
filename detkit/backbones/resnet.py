"""torchvision's ResNets as feature extractors."""

from __future__ import annotations

from typing import Annotated, Literal

from annotated_types import Interval
from torch import Tensor, nn
from torchvision.models import ResNet18_Weights, ResNet34_Weights, ResNet50_Weights, WeightsEnum
from torchvision.models import resnet as torchvision_resnet
from torchvision.ops import FrozenBatchNorm2d

from detkit.backbones.weights import find_weights, is_without_memory, load_weights
from detkit.errors import UserError
from detkit.registry import Wired, register
from detkit.structures import FeatureSpec

Level = Annotated[int, Interval(ge=2, le=5)]
Stages = Annotated[int, Interval(ge=0, le=5)]
_STEM = ("conv1", "bn1")
# V1, as in the papers' and torchvision's detectors; only ResNet-50 has a V2.
_PUBLISHED: dict[str, WeightsEnum] = {
    "resnet18": ResNet18_Weights.IMAGENET1K_V1,
    "resnet34": ResNet34_Weights.IMAGENET1K_V1,
    "resnet50": ResNet50_Weights.IMAGENET1K_V1,
}


class ResNet(nn.Module):
    """A torchvision ResNet without its classifier, and without stages that nobody reads.

    Names of parameters are torchvision's, so its checkpoints fit.
    """

    def __init__(
        self,
        *,
        architecture: Literal["resnet18", "resnet34", "resnet50"],
        weights: str | None,
        norm: Literal["batch", "frozen_batch"],
        frozen_stages: int,
        levels: tuple[int, ...],
    ) -> None:
        """Build, load and freeze; the arguments are those of the registered backbones.

        Raises:
            UserError: The levels are not in order, or the weights cannot be had or do not fit.
        """
        super().__init__()
        if list(levels) != sorted(set(levels)) or not levels:
            raise UserError(
                f"levels {list(levels)} are not in order: list one or more of 2, 3, 4, 5, each "
                "once, fine to coarse."
            )
        norm_layer = FrozenBatchNorm2d if norm == "frozen_batch" else nn.BatchNorm2d
        whole = getattr(torchvision_resnet, architecture)(norm_layer=norm_layer)
        self.conv1, self.bn1, self.relu, self.maxpool = (
            whole.conv1,
            whole.bn1,
            whole.relu,
            whole.maxpool,
        )
        self._stages = [f"layer{level - 1}" for level in range(2, max(levels) + 1)]
        for stage in self._stages:
            self.add_module(stage, getattr(whole, stage))
        self._read = [f"layer{level - 1}" for level in levels]
        self.feature_specs = [
            FeatureSpec(whole.fc.in_features // 2 ** (5 - level), 2**level) for level in levels
        ]
        if weights is not None and not is_without_memory(self):
            load_weights(self, find_weights(weights, _PUBLISHED[architecture]), weights)
        # Names, as SyncBN replaces modules.
        self._frozen = [*_STEM, *self._stages][: frozen_stages + 1 if frozen_stages else 0]
        for name in self._frozen:
            self.get_submodule(name).requires_grad_(False)
        self.train()

    def train(self, mode: bool = True) -> ResNet:
        """As usual, but the batch norm of frozen stages keeps its statistics."""
        super().train(mode)
        for name in self._frozen:
            self.get_submodule(name).eval()
        return self

    def forward(self, images: Tensor) -> list[Tensor]:
        """(B, 3, H, W) to one map (B, C_l, H / stride, W / stride) per level."""
        features = self.maxpool(self.relu(self.bn1(self.conv1(images))))
        found = {}
        for stage in self._stages:
            features = self.get_submodule(stage)(features)
            found[stage] = features
        return [found[stage] for stage in self._read]


@register("backbone", "resnet18")
def resnet18(
    *,
    fetch_weights: Wired[bool] = True,
    weights: str | None = None,
    norm: Literal["batch", "frozen_batch"] = "batch",
    frozen_stages: Stages = 0,
    levels: tuple[Level, ...] = (3, 4, 5),
) -> ResNet:
    """ResNet-18 of torchvision, the smallest.

    Paper: Deep Residual Learning for Image Recognition (He et al., 2016),
    https://arxiv.org/abs/1512.03385

    Args:
        fetch_weights: Whether `weights` are read; not where a checkpoint brings them.
        weights: `imagenet` for torchvision's published weights, a checkpoint file, or null.
        norm: `frozen_batch` keeps the weights' statistics; good for small batches of a pretrained
            network, wrong from scratch.
        frozen_stages: Stages that do not train, from the input: 1 the stem, 2 also C2, ..., 5 all.
        levels: Maps to give, fine to coarse; level l has stride 2**l.
    """
    return ResNet(
        architecture="resnet18",
        weights=weights if fetch_weights else None,
        norm=norm,
        frozen_stages=frozen_stages,
        levels=levels,
    )


@register("backbone", "resnet34")
def resnet34(
    *,
    fetch_weights: Wired[bool] = True,
    weights: str | None = None,
    norm: Literal["batch", "frozen_batch"] = "batch",
    frozen_stages: Stages = 0,
    levels: tuple[Level, ...] = (3, 4, 5),
) -> ResNet:
    """ResNet-34 of torchvision, between 18 and 50.

    Paper: Deep Residual Learning for Image Recognition (He et al., 2016),
    https://arxiv.org/abs/1512.03385

    Args:
        fetch_weights: Whether `weights` are read; not where a checkpoint brings them.
        weights: `imagenet` for torchvision's published weights, a checkpoint file, or null.
        norm: `frozen_batch` keeps the weights' statistics; good for small batches of a pretrained
            network, wrong from scratch.
        frozen_stages: Stages that do not train, from the input: 1 the stem, 2 also C2, ..., 5 all.
        levels: Maps to give, fine to coarse; level l has stride 2**l.
    """
    return ResNet(
        architecture="resnet34",
        weights=weights if fetch_weights else None,
        norm=norm,
        frozen_stages=frozen_stages,
        levels=levels,
    )


@register("backbone", "resnet50")
def resnet50(
    *,
    fetch_weights: Wired[bool] = True,
    weights: str | None = None,
    norm: Literal["batch", "frozen_batch"] = "batch",
    frozen_stages: Stages = 0,
    levels: tuple[Level, ...] = (3, 4, 5),
) -> ResNet:
    """ResNet-50 of torchvision, the backbone that papers compare with.

    Paper: Deep Residual Learning for Image Recognition (He et al., 2016),
    https://arxiv.org/abs/1512.03385

    Args:
        fetch_weights: Whether `weights` are read; not where a checkpoint brings them.
        weights: `imagenet` for torchvision's published weights, a checkpoint file, or null.
        norm: `frozen_batch` keeps the weights' statistics; good for small batches of a pretrained
            network, wrong from scratch.
        frozen_stages: Stages that do not train, from the input: 1 the stem, 2 also C2, ..., 5 all.
        levels: Maps to give, fine to coarse; level l has stride 2**l.
    """
    return ResNet(
        architecture="resnet50",
        weights=weights if fetch_weights else None,
        norm=norm,
        frozen_stages=frozen_stages,
        levels=levels,
    )
