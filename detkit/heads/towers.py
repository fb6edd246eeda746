"""Layers of RetinaNet, FCOS and ATSS: two towers of convolutions that all levels share."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from detkit.errors import UserError
from detkit.layers.conv import ConvBlock
from detkit.layers.initialisation import (
    Probability,
    normal_convolutions,
    prior_logits,
    uniform_convolutions,
)
from detkit.ops import ClassActivation
from detkit.registry import PositiveInt, Wired, register
from detkit.structures import DensePredictions, FeatureSpec


@register("layers", "towers")
class Towers(nn.Module):
    """A class tower and a box tower of 3x3 convolutions, shared by all levels.

    Paper: Focal Loss for Dense Object Detection (Lin et al., 2017),
    https://arxiv.org/abs/1708.02002

    One of the towers also predicts the quality. If the levels differ in channels, a 1x1 convolution
    brings each level to the channels of the finest.

    Args:
        feature_specs: Channels and stride of each input level.
        num_classes: C.
        per_cell: A, the priors per cell, for each level.
        code_size: D of the box coder.
        class_activation: Activation of the classification loss.
        with_quality: Whether to predict a quality logit.
        convs: 3x3 convolutions in each tower before its output layer.
        norm: Normalisation in the towers.
        prior_probability: Score of each class in an untrained head.
        level_scales: Whether each level has a learnable factor for its box codes.
        quality_tower: The tower that predicts the quality: `box`, as in ATSS and the improved FCOS,
            or `class`, as in the first FCOS.
        box_bias: Initial bias of the box layer. A coder that cuts distances at 0 gives no gradient
            to codes below, so FSAF starts above.
    """

    def __init__(
        self,
        *,
        feature_specs: Wired[list[FeatureSpec]],
        num_classes: Wired[int],
        per_cell: Wired[list[int]],
        code_size: Wired[int],
        class_activation: Wired[ClassActivation],
        with_quality: Wired[bool] = False,
        convs: PositiveInt = 4,
        norm: Literal["none", "group"] = "none",
        prior_probability: Probability = 0.01,
        level_scales: bool = False,
        box_bias: float = 0.0,
        quality_tower: Literal["box", "class"] = "box",
    ) -> None:
        super().__init__()
        class_logits = prior_logits(prior_probability, num_classes, class_activation)  # (K,)
        channels = feature_specs[0].channels
        priors = same_on_all_levels(per_cell, "priors per cell")
        self.class_tower = _tower(channels, convs, norm)
        self.box_tower = _tower(channels, convs, norm)
        self.class_layer = nn.Conv2d(channels, priors * len(class_logits), 3, padding=1)
        self.box_layer = nn.Conv2d(channels, priors * code_size, 3, padding=1)
        self.quality_layer = nn.Conv2d(channels, priors, 3, padding=1) if with_quality else None
        levels = len(feature_specs)
        self.scales = nn.Parameter(torch.ones(levels)) if level_scales else None
        normal_convolutions(self)
        differ = any(spec.channels != channels for spec in feature_specs)
        self.entry = nn.ModuleList(
            nn.Conv2d(spec.channels, channels, 1) for spec in feature_specs if differ
        )
        uniform_convolutions(self.entry)
        with torch.no_grad():
            self.class_layer.bias.copy_(class_logits.repeat(priors))  # type: ignore[union-attr]
            self.box_layer.bias.fill_(box_bias)  # type: ignore[union-attr]
        self._num_logits, self._code_size = len(class_logits), code_size
        self._quality_tower = quality_tower

    def forward(self, features: list[Tensor]) -> DensePredictions:
        """L maps (B, C, H_l, W_l) to predictions in the order level, row, column, prior."""
        if self.entry:
            features = [entry(level) for entry, level in zip(self.entry, features, strict=True)]
        logits, codes, quality = [], [], []
        for level, feature in enumerate(features):
            boxes = self.box_tower(feature)
            level_codes = self.box_layer(boxes)  # (B, A * D, H, W)
            level_codes = level_codes if self.scales is None else level_codes * self.scales[level]
            classes = self.class_tower(feature)
            logits.append(flatten_maps(self.class_layer(classes), self._num_logits))
            codes.append(flatten_maps(level_codes, self._code_size))
            if self.quality_layer is not None:
                tower = boxes if self._quality_tower == "box" else classes
                quality.append(flatten_maps(self.quality_layer(tower), 1).squeeze(-1))
        qualities = torch.cat(quality, dim=1) if quality else None
        return DensePredictions(torch.cat(logits, dim=1), torch.cat(codes, dim=1), qualities)


def _tower(channels: int, convs: int, norm: Literal["none", "group"]) -> nn.Sequential:
    return nn.Sequential(*(ConvBlock(channels, channels, norm=norm) for _ in range(convs)))


def flatten_maps(maps: Tensor, values: int) -> Tensor:
    """(B, A * values, H, W) to (B, H * W * A, values)."""
    return maps.permute(0, 2, 3, 1).reshape(maps.shape[0], -1, values)


def same_on_all_levels(counts: list[int], quantity: str) -> int:
    """The count that all levels have.

    Raises:
        UserError: They differ.
    """
    if len(set(counts)) != 1:
        raise UserError(
            f"this head shares its layers over all levels, so it needs the same {quantity} on "
            f"each, got {counts}: put a neck such as 'fpn' before it and give all levels the same "
            "priors."
        )
    return counts[0]
