"""DropBlock as a neck, for any backbone."""

from __future__ import annotations

from typing import Annotated

import torch
from annotated_types import Interval
from torch import Tensor, nn

from detkit.layers.drop_block import drop_block
from detkit.registry import NonNegativeInt, PositiveInt, Wired, register
from detkit.structures import FeatureSpec


@register("neck", "drop_block")
class DropBlock(nn.Module):
    """Drops random squares of each map in training, more of them as training progresses.

    Put it into a `sequence` before or after the neck that mixes levels.

    Paper: DropBlock: A regularization method for convolutional networks (Ghiasi et al., 2018),
    https://arxiv.org/abs/1810.12890

    Args:
        keep_probability: Share of values kept at the end of the schedule.
        block_size: Side of a square in cells; on a smaller map, its smaller side.
        steps: Training batches over which the share falls from 1 to `keep_probability`; 0 starts
            with it. Checkpoints store the count.
    """

    seen: Tensor

    def __init__(
        self,
        *,
        feature_specs: Wired[list[FeatureSpec]],
        keep_probability: Annotated[float, Interval(gt=0, le=1)] = 0.9,
        block_size: PositiveInt = 7,
        steps: NonNegativeInt = 1000,
    ) -> None:
        super().__init__()
        self.feature_specs = list(feature_specs)
        self._keep_probability = keep_probability
        self._block_size = block_size
        self._steps = steps
        self.register_buffer("seen", torch.tensor(0))

    def keep_probability(self) -> Tensor:
        """() the current share."""
        progress = (self.seen / max(self._steps, 1)).clamp(max=1) if self._steps else 1.0
        return torch.as_tensor(1 - (1 - self._keep_probability) * progress, device=self.seen.device)

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """L maps to L maps of the same shapes; unchanged outside training mode."""
        if not self.training:
            return features
        share = self.keep_probability()
        self.seen += 1
        return [drop_block(level, share, self._block_size) for level in features]
