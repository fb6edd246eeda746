"""The trainable part of a set-prediction head. B images, Q queries, K logits, D width."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from detkit.layers.positions import cells_inside, inside_mask, sine_positions
from detkit.layers.transformer import Transformer
from detkit.structures import FeatureSpec


class SetPredictions(NamedTuple):
    """What each query predicts after each of the decoder's layers.

    Attributes:
        class_logits: (layers, B, Q, K).
        boxes_normalised: (layers, B, Q, 4) centres and sides as shares of the image.
    """

    class_logits: Tensor
    boxes_normalised: Tensor

    def last(self) -> SetPredictions:
        """The predictions after the last layer only."""
        return SetPredictions(self.class_logits[-1:], self.boxes_normalised[-1:])


class QueryLayers(nn.Module):
    """Tokens from all cells of all levels, a transformer, and two predictors for its queries."""

    def __init__(
        self, feature_specs: Sequence[FeatureSpec], *, transformer: Transformer, queries: int,
        width: int, logits: int,
    ) -> None:  # fmt: skip
        """Build the layers around a transformer.

        Args:
            feature_specs: Its feature levels; several levels get a learned code each.
            transformer: Encoder and decoder.
            queries: Q.
            width: D.
            logits: K.
        """
        super().__init__()
        self.width = width
        self.strides = [spec.stride for spec in feature_specs]
        self.project = nn.ModuleList(
            nn.Identity() if spec.channels == width else nn.Conv2d(spec.channels, width, 1)
            for spec in feature_specs
        )
        levels = len(feature_specs)
        self.level_codes = nn.Parameter(torch.randn(levels, width)) if levels > 1 else None
        self.transformer = transformer
        self.queries = nn.Parameter(torch.randn(queries, width))
        self.class_layer = nn.Linear(width, logits)
        hidden = [layer for _ in range(2) for layer in (nn.Linear(width, width), nn.ReLU())]
        self.box_tower = nn.Sequential(*hidden)
        self.box_layer = nn.Linear(width, 4)

    def forward(self, features: list[Tensor], image_sizes: Tensor | None) -> SetPredictions:
        """Predictions after each layer; `image_sizes` (B, 2) excludes padding, None has none."""
        tokens, positions, masks = [], [], []
        for level, (project, feature) in enumerate(zip(self.project, features, strict=True)):
            cells = project(feature).flatten(2).mT  # (B, H * W, D)
            size = (feature.shape[-2], feature.shape[-1])
            if image_sizes is None:
                inside = cells.new_tensor([size], dtype=torch.float32)  # (1, 2)
            else:
                inside = cells_inside(size, self.strides[level], image_sizes)
                masks.append(inside_mask(size, inside).flatten(1))
            codes = sine_positions(size, inside, self.width).flatten(1, 2).to(cells.dtype)
            if self.level_codes is not None:
                codes = codes + self.level_codes[level]
            tokens.append(cells)
            positions.append(codes.expand_as(cells))
        mask = torch.cat(masks, dim=1) if masks else None
        states = self.transformer(
            torch.cat(tokens, dim=1), torch.cat(positions, dim=1), self.queries, mask
        )
        boxes = self.box_layer(self.box_tower(states)).sigmoid()
        return SetPredictions(self.class_layer(states), boxes)
