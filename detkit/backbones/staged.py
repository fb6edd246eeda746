"""The base of detkit's own backbones: stages that each halve the map."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from annotated_types import Interval, MinLen
from torch import Tensor, nn

from detkit.errors import UserError
from detkit.ops.network_blocks import NetworkBlock, split_stage, stage_name
from detkit.structures import FeatureSpec

DEEPEST = 5
Levels = Annotated[tuple[Annotated[int, Interval(ge=1, le=DEEPEST)], ...], MinLen(1)]
FrozenStages = Annotated[int, Interval(ge=0, le=DEEPEST)]


class StagedBackbone(nn.Module):
    """A sequence of stages; level l is the output of stage l. Unused stages are dropped."""

    def __init__(
        self,
        *,
        stages: Sequence[nn.Module],
        channels: list[int],
        levels: tuple[int, ...],
        frozen_stages: int,
        strides: Sequence[int] | None = None,
    ) -> None:
        """Keep the stages up to the coarsest level.

        Args:
            stages: The stages of levels 1, 2, ...
            channels: Output channels of each stage.
            levels: Output levels, fine to coarse.
            frozen_stages: Number of frozen stages, from the input.
            strides: Stride of each stage; None doubles it with each stage.

        Raises:
            UserError: The levels are not in order.
        """
        super().__init__()
        if list(levels) != sorted(set(levels)):
            raise UserError(
                f"levels {list(levels)} are not in order: list one or more of 1 to {len(stages)}, "
                "each once, fine to coarse."
            )
        self.stages = nn.ModuleList(stages[: levels[-1]])
        strides = strides or [2**level for level in range(1, len(stages) + 1)]
        self.feature_specs = [FeatureSpec(channels[i - 1], strides[i - 1]) for i in levels]
        self._levels = levels
        self._frozen = frozen_stages
        for stage in self.stages[:frozen_stages]:
            stage.requires_grad_(False)
        self.train()

    def train(self, mode: bool = True) -> StagedBackbone:
        """Set the mode; batch norms of frozen stages stay in evaluation mode."""
        super().train(mode)
        for stage in self.stages[: self._frozen]:
            stage.eval()
        return self

    def forward(self, images: Tensor) -> list[Tensor]:
        """(B, 3, H, W) to one map (B, C_l, H / stride, W / stride) per level."""
        features, maps = images, []
        for level, stage in enumerate(self.stages, start=1):
            features = stage(features)
            if level in self._levels:
                maps.append(features)
        return maps

    def ordered_blocks(self) -> list[NetworkBlock]:
        """The blocks of each stage; the first stage, of stride 2, is the stem."""
        return [
            block
            for number, stage in enumerate(self.stages)
            for block in split_stage(stage_name(number), [(f"stages.{number}", stage)])
        ]
