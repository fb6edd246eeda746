"""The trainable part of a corner head. B images, C classes; two kinds of corners."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from detkit.layers import ConvBlock, Norm
from detkit.layers.corner_pooling import CornerPooling
from detkit.structures import FeatureSpec


class CornerMaps(NamedTuple):
    """What is predicted at each cell for top left corners (0) and bottom right corners (1).

    Attributes:
        class_logits: (B, 2, C, H, W) whether there is a corner of a class.
        embeddings: (B, 2, H, W) similar values for the two corners of an object.
        offsets: (B, 2, 2, H, W) position of the corner in its cell: x and y in cells.
    """

    class_logits: Tensor
    embeddings: Tensor
    offsets: Tensor


class CornerLayers(nn.Module):
    """Corner pooling and three branches for each kind of corner, on each map separately."""

    def __init__(
        self,
        feature_specs: Sequence[FeatureSpec],
        *,
        class_bias: Tensor,
        width: int,
        pooling_width: int,
        norm: Norm,
    ) -> None:
        """Build the layers.

        Args:
            feature_specs: The input maps, all of one stride.
            class_bias: (C,) logits of an untrained head.
            width: Channels of the branches.
            pooling_width: Channels of the pooled maps.
            norm: Normalisation in corner pooling.
        """
        super().__init__()
        self.strides = [spec.stride for spec in feature_specs]
        self.stacks = nn.ModuleList(
            nn.ModuleList(
                _Branches(spec.channels, class_bias, width, pooling_width, norm, top_left=top_left)
                for top_left in (True, False)
            )
            for spec in feature_specs
        )

    def forward(self, features: list[Tensor]) -> list[CornerMaps]:
        """The predictions on each map (B, C_l, H, W)."""
        return [
            _predict(stack, feature) for stack, feature in zip(self.stacks, features, strict=True)
        ]

    def last(self, features: list[Tensor]) -> CornerMaps:
        """The predictions on the last map, those that count after training."""
        return _predict(self.stacks[-1], features[-1])


def _predict(branches: nn.Module, feature: Tensor) -> CornerMaps:
    maps = [kind(feature) for kind in branches.children()]
    logits, embeddings, offsets = (torch.stack(pair, dim=1) for pair in zip(*maps, strict=True))
    return CornerMaps(logits, embeddings.squeeze(2), offsets)


class _Branches(nn.Module):
    """Classes, embedding and offset of one kind of corner."""

    def __init__(
        self,
        channels: int,
        class_bias: Tensor,
        width: int,
        pooling_width: int,
        norm: Norm,
        *,
        top_left: bool,
    ) -> None:
        super().__init__()
        self.pooling = CornerPooling(
            channels, width, width=pooling_width, top_left=top_left, norm=norm
        )
        self.classes, self.embedding, self.offset = (
            nn.Sequential(ConvBlock(width, width), nn.Conv2d(width, values, 1))
            for values in (len(class_bias), 1, 2)
        )
        with torch.no_grad():
            self.classes[1].bias.copy_(class_bias)  # type: ignore[operator]

    def forward(self, feature: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(B, C_in, H, W) to (B, C, H, W), (B, 1, H, W) and (B, 2, H, W)."""
        pooled = self.pooling(feature)
        return self.classes(pooled), self.embedding(pooled), self.offset(pooled)
