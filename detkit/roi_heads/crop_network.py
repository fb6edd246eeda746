"""A whole network on each region's crop of the image."""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor, nn

from detkit.errors import UserError
from detkit.interfaces import Backbone
from detkit.registry import Fraction, PositiveInt, Slot, Wired, register
from detkit.roi_heads.box_heads import uniform_layers

_COLOURS = 3
_ROWS = 64  # regions at once in a prediction, which has thousands


@register("box_head", "crop_network")
class CropNetwork(nn.Module):
    """A backbone on each crop, average pooling of its coarsest map, and two fully connected layers.

    As in R-CNN, with AlexNet's layers; the classifier after them is the roi head's. Where the
    backbone's weights expect other pixels than ImageNet's, set model.pixel_mean and pixel_std.

    Paper: Rich feature hierarchies for accurate object detection (Girshick et al., 2014), section
        2.1, https://arxiv.org/abs/1311.2524

    Args:
        cells: Side of the pooled map.
        width: Features of each fully connected layer.
        dropout: Share of the features that training drops before each of them.
        backbone: The network.
    """

    def __init__(
        self,
        *,
        region_shape: Wired[tuple[int, int, int]],
        cells: PositiveInt = 6,
        width: PositiveInt = 4096,
        dropout: Fraction = 0.5,
        backbone: Annotated[Backbone, Slot("backbone", "alexnet", {"levels": (5,)})],
    ) -> None:
        super().__init__()
        if region_shape[0] != _COLOURS:
            raise UserError(
                "box head 'crop_network' runs a network on crops of the image, which have 3 "
                f"channels, got {region_shape[0]}: set model/backbone=pixels, model/neck=none and "
                "model/roi_head/pooling=warped_crop."
            )
        self.backbone = backbone
        self.pool = nn.AdaptiveAvgPool2d(cells)
        channels = backbone.feature_specs[-1].channels
        self.layers = nn.Sequential(
            nn.Dropout(dropout),
            nn.Linear(channels * cells**2, width),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(width, width),
            nn.ReLU(),
        )
        uniform_layers(self.layers)
        self.out_channels = width

    def forward(self, regions: Tensor) -> Tensor:
        """(M, 3, h, w) to (M, width)."""
        if torch.is_grad_enabled() or torch.compiler.is_compiling():
            return self._features(regions)
        return torch.cat([self._features(crops) for crops in torch.split(regions, _ROWS)])

    def _features(self, regions: Tensor) -> Tensor:
        coarsest = self.backbone(regions)[-1]
        features: Tensor = self.layers(self.pool(coarsest).flatten(1))
        return features
