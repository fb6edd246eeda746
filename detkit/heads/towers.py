"""The layers that RetinaNet, FCOS and ATSS share: two towers of convolutions over all levels."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from detkit.errors import UserError
from detkit.layers.conv import ConvBlock
from detkit.layers.initialisation import normal_convolutions, uniform_convolutions
from detkit.layers.norm import Norm
from detkit.structures import DensePredictions, FeatureSpec


class Towers(nn.Module):
    """A class tower and a box tower, shared by all levels. A counts the priors of a cell.

    Where levels differ in channels, a 1x1 convolution brings each to those of the finest.
    """

    def __init__(
        self,
        *,
        feature_specs: list[FeatureSpec],
        per_cell: list[int],
        class_logits: Tensor,
        code_size: int,
        convs: int,
        norm: Norm,
        with_quality: bool,
        with_scales: bool,
    ) -> None:
        """Build the layers.

        Args:
            feature_specs: The levels that come in.
            per_cell: A for each level.
            class_logits: (K,) what the class layer answers before it is trained.
            code_size: D of the box coder.
            convs: Convolutions of each tower before its last layer.
            norm: Normalisation in the towers.
            with_quality: Whether the box tower also predicts a quality logit.
            with_scales: Whether each level has a learnable factor on its box codes.

        Raises:
            UserError: The levels differ in priors per cell.
        """
        super().__init__()
        channels = feature_specs[0].channels
        priors = same_on_all_levels(per_cell, "priors per cell")
        self.class_tower = _tower(channels, convs, norm)
        self.box_tower = _tower(channels, convs, norm)
        self.class_layer = nn.Conv2d(channels, priors * len(class_logits), 3, padding=1)
        self.box_layer = nn.Conv2d(channels, priors * code_size, 3, padding=1)
        self.quality_layer = nn.Conv2d(channels, priors, 3, padding=1) if with_quality else None
        levels = len(feature_specs)
        self.scales = nn.Parameter(torch.ones(levels)) if with_scales else None
        normal_convolutions(self)
        differ = any(spec.channels != channels for spec in feature_specs)
        self.entry = nn.ModuleList(
            nn.Conv2d(spec.channels, channels, 1) for spec in feature_specs if differ
        )
        uniform_convolutions(self.entry)
        with torch.no_grad():
            self.class_layer.bias.copy_(class_logits.repeat(priors))  # type: ignore[union-attr]
        self._num_logits, self._code_size = len(class_logits), code_size

    def forward(self, features: list[Tensor]) -> DensePredictions:
        """L maps (B, C, H_l, W_l) to predictions in the order level, row, column, prior."""
        if self.entry:
            features = [entry(level) for entry, level in zip(self.entry, features, strict=True)]
        logits, codes, quality = [], [], []
        for level, feature in enumerate(features):
            boxes = self.box_tower(feature)
            level_codes = self.box_layer(boxes)  # (B, A * D, H, W)
            if self.scales is not None:
                level_codes = level_codes * self.scales[level]
            class_maps = self.class_layer(self.class_tower(feature))
            logits.append(flatten_maps(class_maps, self._num_logits))
            codes.append(flatten_maps(level_codes, self._code_size))
            if self.quality_layer is not None:
                quality.append(flatten_maps(self.quality_layer(boxes), 1).squeeze(-1))
        return DensePredictions(
            class_logits=torch.cat(logits, dim=1),
            box_codes=torch.cat(codes, dim=1),
            quality=torch.cat(quality, dim=1) if quality else None,
        )


def _tower(channels: int, convs: int, norm: Norm) -> nn.Sequential:
    return nn.Sequential(*(ConvBlock(channels, channels, norm=norm) for _ in range(convs)))


def flatten_maps(maps: Tensor, values: int) -> Tensor:
    """(B, A * values, H, W) to (B, H * W * A, values)."""
    return maps.permute(0, 2, 3, 1).reshape(len(maps), -1, values)


def same_on_all_levels(counts: list[int], what: str) -> int:
    """The count that all levels have.

    Raises:
        UserError: They differ.
    """
    if len(set(counts)) != 1:
        raise UserError(
            f"this head shares its layers over all levels, so it needs the same {what} on each, "
            f"got {counts}: put a neck such as 'fpn' before it and give all levels the same priors."
        )
    return counts[0]
