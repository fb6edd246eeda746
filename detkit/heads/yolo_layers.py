"""Layers of YOLOv2 to YOLOv5: separate ones for each level."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from detkit.errors import UserError
from detkit.heads.towers import flatten_maps
from detkit.layers import Activation, ConvBlock, Norm, Probability, prior_logits
from detkit.ops import ClassActivation, logits_for
from detkit.registry import NonNegativeInt, PositiveFloat, Wired, register
from detkit.structures import DensePredictions, FeatureSpec

_IMAGE = 640  # side of the image in which `objects` are expected
_NO_BACKGROUND = -100.0  # a softmax rounds its share to 0 beside any class logit above -80


@register("layers", "yolo")
class YOLOLayers(nn.Module):
    """Per level: 3x3 convolutions, then 1x1 layers for classes, boxes and objectness.

    Paper: YOLOv3: An Incremental Improvement (Redmon and Farhadi, 2018),
    https://arxiv.org/abs/1804.02767

    In the paper, one convolution of A * (K + D + 1) channels computes all three outputs. Separate
    layers compute the same, and their names tell them apart. A counts the priors per cell.

    Args:
        feature_specs: Channels and stride of each input level.
        num_classes: C.
        per_cell: A, the priors per cell, for each level.
        code_size: D of the box coder.
        class_activation: Activation of the classification loss.
        with_quality: Whether to predict a quality logit, the objectness.
        convs: 3x3 convolutions on each level before the output layers; the first doubles channels.
        norm: Normalisation after each of them.
        activation: Function after each normalisation.
        prior_probability: Score of each class in an untrained head.
        objects: Objects that an untrained head expects in an image of 640 x 640, per level and per
            prior of a cell.
        background_logit: Whether to predict a logit of background with a softmax over classes.
            Without one, only the objectness tells objects from background, as in YOLOv2.
    """

    gradient_clip_norm: ClassVar = 10.0  # of YOLOv5 and its successors

    def __init__(
        self,
        *,
        feature_specs: Wired[list[FeatureSpec]],
        num_classes: Wired[int],
        per_cell: Wired[list[int]],
        code_size: Wired[int],
        class_activation: Wired[ClassActivation],
        with_quality: Wired[bool] = True,
        convs: NonNegativeInt = 1,
        norm: Norm = "batch",
        activation: Activation = "leaky_relu",
        prior_probability: Probability = 0.01,
        objects: PositiveFloat = 8.0,
        background_logit: bool = True,
    ) -> None:
        super().__init__()
        has_background = logits_for(num_classes, class_activation) > num_classes
        self._adds_background = has_background and not background_logit
        if self._adds_background and not with_quality:
            raise UserError(
                "layers 'yolo': background_logit=false needs an objectness to tell objects from "
                "background: set head.quality_target=objectness and head.quality_loss=bce, "
                "or background_logit=true."
            )
        class_logits = prior_logits(prior_probability, num_classes, class_activation)  # (K,)
        if self._adds_background:
            class_logits = class_logits[:-1]
        self.convs = nn.ModuleList(
            _doubling(spec.channels, convs, norm, activation) for spec in feature_specs
        )
        widths = [spec.channels * (2 if convs else 1) for spec in feature_specs]

        def output_layers(values: int) -> nn.ModuleList:
            sizes = zip(widths, per_cell, strict=True)
            return nn.ModuleList(nn.Conv2d(width, priors * values, 1) for width, priors in sizes)

        self.class_layers = output_layers(len(class_logits))
        self.box_layers = output_layers(code_size)
        self.quality_layers = output_layers(1) if with_quality else None
        self._num_logits, self._code_size = len(class_logits), code_size
        self._set_biases(feature_specs, per_cell, class_logits, objects)

    @torch.no_grad()
    def _set_biases(
        self, specs: list[FeatureSpec], per_cell: list[int], class_logits: Tensor, objects: float
    ) -> None:
        """Start with few objects, so that the background does not swamp the first steps."""
        for level, spec in enumerate(specs):
            share = min(objects / (_IMAGE / spec.stride) ** 2, 0.5)
            class_bias = class_logits.repeat(per_cell[level])
            self.class_layers[level].bias.copy_(class_bias)  # type: ignore[operator]
            self.box_layers[level].bias.zero_()  # type: ignore[operator]
            if self.quality_layers is not None:
                quality_bias = self.quality_layers[level].bias
                quality_bias.fill_(math.log(share / (1 - share)))  # type: ignore[operator]

    def forward(self, features: list[Tensor]) -> DensePredictions:
        """L maps (B, C_l, H_l, W_l) to predictions in the order level, row, column, prior."""
        features = [convs(level) for convs, level in zip(self.convs, features, strict=True)]

        def flat(layers: nn.ModuleList, values: int) -> Tensor:
            maps = [layer(level) for layer, level in zip(layers, features, strict=True)]
            return torch.cat([flatten_maps(level, values) for level in maps], dim=1)

        logits = flat(self.class_layers, self._num_logits)
        if self._adds_background:
            logits = F.pad(logits, (0, 1), value=_NO_BACKGROUND)
        codes = flat(self.box_layers, self._code_size)
        if self.quality_layers is None:
            return DensePredictions(logits, codes, None)
        return DensePredictions(logits, codes, flat(self.quality_layers, 1).squeeze(-1))


def _doubling(channels: int, convs: int, norm: Norm, activation: Activation) -> nn.Sequential:
    widths = [channels] + [2 * channels] * convs
    return nn.Sequential(
        *(
            ConvBlock(width, 2 * channels, norm=norm, activation=activation)
            for width in widths[:convs]
        )
    )
