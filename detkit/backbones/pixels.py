"""The image itself as a feature level, for detectors that look at regions of the image."""

from __future__ import annotations

from torch import Tensor, nn

from detkit.registry import register
from detkit.structures import FeatureSpec


@register("backbone", "pixels")
class Pixels(nn.Module):
    """No network: the normalised image is the only level, with stride 1, as R-CNN needs it."""

    def __init__(self) -> None:
        super().__init__()
        self.feature_specs = [FeatureSpec(channels=3, stride=1)]

    def forward(self, images: Tensor) -> list[Tensor]:
        """(B, 3, H, W) to a list of the same."""
        return [images]
