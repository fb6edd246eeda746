"""The layers of YOLO's heads: each level has its own."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from detkit.heads.towers import flatten_maps
from detkit.layers import Activation, ConvBlock, Norm
from detkit.structures import DensePredictions, FeatureSpec

_IMAGE = 640  # side of the image in which `objects` are expected


class YOLOLayers(nn.Module):
    """For each level 3x3 convolutions, then class, box and objectness layers of kernel size 1.

    The three layers are one convolution of A * (K + D + 1) channels in the papers; apart they are
    the same, and their names tell what they are. A counts the priors of a cell.
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
        activation: Activation,
        objects: float,
    ) -> None:
        """Build the layers.

        Args:
            feature_specs: The levels that come in.
            per_cell: A for each level.
            class_logits: (K,) what the class layers answer before they are trained.
            code_size: D of the box coder.
            convs: 3x3 convolutions of each level; the first doubles the channels.
            norm: Normalisation after each of them.
            activation: Function after each normalisation.
            objects: How many objects an untrained head expects in an image of 640 x 640, on each
                level and with each prior of a cell.
        """
        super().__init__()
        self.convs = nn.ModuleList(
            _doubling(spec.channels, convs, norm, activation) for spec in feature_specs
        )
        pairs = [
            (spec.channels * (2 if convs else 1), each)
            for spec, each in zip(feature_specs, per_cell, strict=True)
        ]
        self.class_layers = nn.ModuleList(
            nn.Conv2d(channels, each * len(class_logits), 1) for channels, each in pairs
        )
        self.box_layers = nn.ModuleList(
            nn.Conv2d(channels, each * code_size, 1) for channels, each in pairs
        )
        self.quality_layers = nn.ModuleList(
            nn.Conv2d(channels, each, 1) for channels, each in pairs
        )
        self._num_logits, self._code_size = len(class_logits), code_size
        self._set_biases(feature_specs, per_cell, class_logits, objects)

    @torch.no_grad()
    def _set_biases(
        self, specs: list[FeatureSpec], per_cell: list[int], class_logits: Tensor, objects: float
    ) -> None:
        """Answers of the first step, so that background does not swamp it."""
        for level, spec in enumerate(specs):
            share = min(objects / (_IMAGE / spec.stride) ** 2, 0.5)
            class_bias = class_logits.repeat(per_cell[level])
            self.class_layers[level].bias.copy_(class_bias)  # type: ignore[operator]
            self.box_layers[level].bias.zero_()  # type: ignore[operator]
            quality_bias = self.quality_layers[level].bias
            quality_bias.fill_(math.log(share / (1 - share)))  # type: ignore[operator]

    def forward(self, features: list[Tensor]) -> DensePredictions:
        """L maps (B, C_l, H_l, W_l) to predictions in the order level, row, column, prior."""
        features = [convs(level) for convs, level in zip(self.convs, features, strict=True)]

        def flat(layers: nn.ModuleList, values: int) -> Tensor:
            maps = [layer(level) for layer, level in zip(layers, features, strict=True)]
            return torch.cat([flatten_maps(level, values) for level in maps], dim=1)

        return DensePredictions(
            class_logits=flat(self.class_layers, self._num_logits),
            box_codes=flat(self.box_layers, self._code_size),
            quality=flat(self.quality_layers, 1).squeeze(-1),
        )


def _doubling(channels: int, convs: int, norm: Norm, activation: Activation) -> nn.Sequential:
    return nn.Sequential(
        *(
            ConvBlock(
                2 * channels if place else channels, 2 * channels, norm=norm, activation=activation
            )
            for place in range(convs)
        )
    )
