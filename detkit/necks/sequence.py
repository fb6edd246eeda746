"""Several necks in a row."""

from __future__ import annotations

from typing import Annotated

from torch import Tensor, nn

from detkit.interfaces import Neck
from detkit.registry import Slot, Wired, register
from detkit.structures import FeatureSpec


@register("neck", "sequence")
class Sequence(nn.Module):
    """Labelled necks in sequence, each on the output of the one before.

    Args:
        necks: The necks in the order of the page. Use labels to change, replace or remove one:
            `model.neck.necks.pan.blocks=1`, `model.neck.necks.pan=fpn`,
            `model.neck.necks.spp=null`.
    """

    def __init__(
        self,
        *,
        feature_specs: Wired[list[FeatureSpec]],
        necks: Annotated[dict[str, Neck], Slot("neck")],
    ) -> None:
        super().__init__()
        self.necks = nn.ModuleDict(necks)  # type: ignore[arg-type]  # parts are modules
        specs = [neck.feature_specs for neck in necks.values()]
        self.feature_specs = specs[-1] if specs else list(feature_specs)

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """L maps to the output of the last neck."""
        for neck in self.necks.values():
            features = neck(features)
        return features
