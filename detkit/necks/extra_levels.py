"""Checks of input levels, and extra coarser levels, for necks with equal channels."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

from torch import Tensor, nn
from torch.nn import functional as F

from detkit.errors import UserError
from detkit.structures import FeatureSpec

Extra = Literal["none", "pool", "p6p7_on_p5", "p6p7_on_c5"]


class ExtraLevels(nn.Module):
    """Levels coarser than the backbone's: none, one by subsampling, or two by convolutions."""

    def __init__(
        self,
        extra: Extra,
        *,
        channels: int,
        input_channels: int,
        relu_before_p7: bool = True,
    ) -> None:
        """Build the convolutions.

        Args:
            extra: `pool` one by subsampling, `p6p7_on_p5` two by convolutions on the pyramid's
                coarsest level, `p6p7_on_c5` on the backbone's.
            channels: Channels of each output level.
            input_channels: Channels of the backbone's coarsest level.
            relu_before_p7: Whether P7 is computed from the positive part of P6.
        """
        super().__init__()
        self._relu_before_p7 = relu_before_p7
        self._extra = extra
        if extra in ("p6p7_on_p5", "p6p7_on_c5"):
            source = channels if extra == "p6p7_on_p5" else input_channels
            self.p6 = nn.Conv2d(source, channels, 3, stride=2, padding=1)
            self.p7 = nn.Conv2d(channels, channels, 3, stride=2, padding=1)

    def forward(self, coarsest: Tensor, coarsest_input: Tensor) -> list[Tensor]:
        """Extra maps from the pyramid's and the backbone's coarsest maps, fine to coarse."""
        if self._extra == "none":
            return []
        if self._extra == "pool":
            return [F.max_pool2d(coarsest, kernel_size=1, stride=2)]
        p6 = self.p6(coarsest if self._extra == "p6p7_on_p5" else coarsest_input)
        return [p6, self.p7(F.relu(p6) if self._relu_before_p7 else p6)]

    def specs(self, feature_specs: list[FeatureSpec], channels: int) -> list[FeatureSpec]:
        """The specs of the pyramid: input levels, then extra levels."""
        strides = [spec.stride for spec in feature_specs]
        for _ in range({"none": 0, "pool": 1}.get(self._extra, 2)):
            strides.append(2 * strides[-1])
        return [FeatureSpec(channels, stride) for stride in strides]


def require_levels(neck: str, feature_specs: list[FeatureSpec], min_levels: int) -> None:
    """Refuse too few levels.

    Raises:
        UserError: There are fewer than `min_levels`.
    """
    if len(feature_specs) < min_levels:
        raise UserError(
            f"neck '{neck}' needs {min_levels} or more feature levels, got {len(feature_specs)} "
            f"from the backbone (strides {_strides(feature_specs)}): raise model.backbone.levels "
            "or lower model.neck.min_levels."
        )


def require_doubling(neck: str, feature_specs: list[FeatureSpec]) -> None:
    """Refuse levels with a gap, for necks that match sizes by a stride of 2.

    Raises:
        UserError: A stride is not twice the one before.
    """
    if any(coarse.stride != 2 * fine.stride for fine, coarse in pairwise(feature_specs)):
        raise UserError(
            f"neck '{neck}' needs levels with strides that double from one to the next, "
            f"got strides {_strides(feature_specs)}: list neighbours in model.backbone.levels."
        )


def _strides(feature_specs: list[FeatureSpec]) -> str:
    return ", ".join(str(spec.stride) for spec in feature_specs)


def crop(features: Tensor, size: tuple[int, int]) -> Tensor:
    """Crop to a size: halving rounds up, and some backbones round down."""
    return features[:, :, : size[0], : size[1]]
