"""A dense head: feature levels to losses and detections."""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor, nn

from detkit import Slot, Wired, register
from detkit.heads import DenseHead
from detkit.interfaces import (
    Assigner,
    BoxCoder,
    BoxLoss,
    ClassificationLoss,
    Postprocess,
    PriorGenerator,
    Sampler,
)
from detkit.layers import ConvBlock, prior_logits
from detkit.registry import PositiveInt
from detkit.structures import DensePredictions, FeatureSpec


class MyHeadLayers(nn.Module):
    """What learns: on each level its own convolutions, then a class layer and a box layer."""

    def __init__(
        self,
        *,
        feature_specs: list[FeatureSpec],
        per_cell: list[int],
        class_logits: Tensor,
        code_size: int,
        convs: int,
    ) -> None:
        """Build the layers.

        Args:
            feature_specs: The levels that come in.
            per_cell: A, the priors in a cell, for each level.
            class_logits: (K,) what the class layer answers before it is trained.
            code_size: D of the box coder.
            convs: 3x3 convolutions on each level.
        """
        super().__init__()
        self.num_logits = len(class_logits)
        bias = torch.cat([class_logits, torch.zeros(code_size)])  # (K + D,)
        self.levels = nn.ModuleList(
            nn.Sequential(
                *(ConvBlock(spec.channels, spec.channels) for _ in range(convs)),
                _last_layer(spec.channels, bias.repeat(priors)),
            )
            for spec, priors in zip(feature_specs, per_cell, strict=True)
        )
        self.values = len(bias)  # of a prior

    def forward(self, features: list[Tensor]) -> DensePredictions:
        """L maps (B, C_l, H_l, W_l) to predictions in the order level, row, column, prior."""
        found = []
        for layers, feature in zip(self.levels, features, strict=True):
            maps = layers(feature)  # (B, A * (K + D), H, W)
            found.append(maps.permute(0, 2, 3, 1).reshape(len(maps), -1, self.values))
        values = torch.cat(found, dim=1)  # (B, P, K + D)
        return DensePredictions(
            class_logits=values[..., : self.num_logits],
            box_codes=values[..., self.num_logits :],
            quality=None,
        )


def _last_layer(channels: int, bias: Tensor) -> nn.Conv2d:
    """A convolution that starts near its bias, so that an untrained head finds nothing."""
    layer = nn.Conv2d(channels, len(bias), 3, padding=1)
    nn.init.normal_(layer.weight, std=0.01)
    layer.bias = nn.Parameter(bias)
    return layer


@register("head", "my_head")
class MyHead(DenseHead):
    """Anchors, and convolutions of its own on each level.

    Args:
        convs: 3x3 convolutions on each level before the last one.
        priors: Where it predicts.
        box_coder: What a box code means.
        assigner: Which prior is responsible for which object.
        sampler: Which priors count in the loss.
        classification_loss: Loss of the class scores.
        box_loss: Loss of the boxes.
        postprocess: Candidates to detections.
    """

    def __init__(
        self,
        *,
        feature_specs: Wired[list[FeatureSpec]],
        num_classes: Wired[int],
        convs: PositiveInt = 2,
        priors: Annotated[PriorGenerator, Slot("priors", "anchors")],
        box_coder: Annotated[BoxCoder, Slot("box_coder", "delta")],
        assigner: Annotated[Assigner, Slot("assigner", "max_iou")],
        sampler: Annotated[Sampler, Slot("sampler", "keep_all")],
        classification_loss: Annotated[
            ClassificationLoss, Slot("loss", "focal", space=("classes",))
        ],
        box_loss: Annotated[BoxLoss, Slot("loss", "l1", space=("boxes", "codes"))],
        postprocess: Annotated[Postprocess, Slot("postprocess", "nms")],
    ) -> None:
        layers = MyHeadLayers(
            feature_specs=feature_specs,
            per_cell=priors.per_cell,
            class_logits=prior_logits(0.01, num_classes, classification_loss.activation),
            code_size=box_coder.code_size,
            convs=convs,
        )
        super().__init__(
            layers=layers,
            priors=priors,
            box_coder=box_coder,
            assigner=assigner,
            sampler=sampler,
            classification_loss=classification_loss,
            box_loss=box_loss,
            quality_loss=None,
            postprocess=postprocess,
        )
