"""A neck that weighs levels."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from detkit import Wired, register
from detkit.registry import PositiveFloat
from detkit.structures import FeatureSpec
from detkit_level_gates.start import FIRST_VALUE


@register("neck", "level_gates")
class LevelGates(nn.Module):
    """A learned factor on each level.

    Args:
        first_value: What the factors are before training.
    """

    def __init__(
        self, *, feature_specs: Wired[list[FeatureSpec]], first_value: PositiveFloat = FIRST_VALUE
    ) -> None:
        super().__init__()
        self.gates = nn.Parameter(torch.full((len(feature_specs),), first_value))
        self.feature_specs = list(feature_specs)

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """L maps to the same, weighed."""
        return [gate * level for gate, level in zip(self.gates, features, strict=True)]
