"""Layers of an anchor-free YOLO: a class tower and a box tower for each level."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from detkit.heads.towers import flatten_maps
from detkit.interfaces import BoxCoder, DistributionCoder, PriorGenerator
from detkit.layers import Activation, ConvBlock, Norm, Probability, prior_logits
from detkit.ops import ClassActivation
from detkit.ops.initial_boxes import initial_boxes
from detkit.registry import NonNegativeInt, PositiveInt, Wired, register
from detkit.structures import DensePredictions, FeatureSpec


@register("layers", "decoupled")
class DecoupledLayers(nn.Module):
    """Per level: a class tower and a box tower of 3x3 convolutions with 1x1 output layers.

    Paper: YOLOX: Exceeding YOLO Series in 2021 (Ge et al., 2021),
    https://arxiv.org/abs/2107.08430

    An untrained head predicts boxes of typical size at each prior, so that the first assignments
    by predictions match objects. A counts the priors per cell.

    Args:
        feature_specs: Channels and stride of each input level.
        num_classes: C.
        priors: The head's priors, for the first box codes.
        box_coder: The head's box coder, for the first box codes.
        class_activation: Activation of the classification loss.
        convs: 3x3 convolutions in each tower.
        channels: Channels of the towers; null takes the channels of the finest level.
        norm: Normalisation after each convolution.
        activation: Function after each normalisation.
        prior_probability: Score of each class in an untrained head.
    """

    gradient_clip_norm: ClassVar = 10.0  # of YOLOv5 and its successors

    def __init__(
        self,
        *,
        feature_specs: Wired[list[FeatureSpec]],
        num_classes: Wired[int],
        priors: Wired[PriorGenerator],
        box_coder: Wired[BoxCoder],
        class_activation: Wired[ClassActivation],
        convs: NonNegativeInt = 2,
        channels: PositiveInt | None = None,
        norm: Norm = "batch",
        activation: Activation = "silu",
        prior_probability: Probability = 0.01,
    ) -> None:
        super().__init__()
        with torch.device("cpu"):  # small tensors, which are values on the meta device too
            class_logits = prior_logits(prior_probability, num_classes, class_activation)  # (K,)
            box_codes = _first_codes(box_coder, priors)  # (A, D) for each level
            class_biases = [class_logits.repeat(len(codes)) for codes in box_codes]
        width = channels or feature_specs[0].channels

        def tower() -> nn.Sequential:
            blocks = (
                ConvBlock(width, width, norm=norm, activation=activation) for _ in range(convs)
            )
            return nn.Sequential(*blocks)

        self.entries = nn.ModuleList(
            ConvBlock(spec.channels, width, kernel_size=1, norm=norm, activation=activation)
            for spec in feature_specs
        )
        self.class_towers = nn.ModuleList(tower() for _ in feature_specs)
        self.box_towers = nn.ModuleList(tower() for _ in feature_specs)
        self.class_layers = nn.ModuleList(_output_layer(width, bias) for bias in class_biases)
        self.box_layers = nn.ModuleList(_output_layer(width, c.flatten()) for c in box_codes)
        self._num_logits, self._code_size = len(class_logits), box_codes[0].shape[1]

    def forward(self, features: list[Tensor]) -> DensePredictions:
        """L maps (B, C_l, H_l, W_l) to predictions in the order level, row, column, prior."""
        entered = [entry(level) for entry, level in zip(self.entries, features, strict=True)]

        def flat(towers: nn.ModuleList, layers: nn.ModuleList, values: int) -> Tensor:
            parts = zip(towers, layers, entered, strict=True)
            maps = [flatten_maps(layer(tower(level)), values) for tower, layer, level in parts]
            return torch.cat(maps, dim=1)

        return DensePredictions(
            class_logits=flat(self.class_towers, self.class_layers, self._num_logits),
            box_codes=flat(self.box_towers, self.box_layers, self._code_size),
            quality=None,
        )


def _output_layer(channels: int, bias: Tensor) -> nn.Conv2d:
    """A 1x1 convolution that starts with this bias and small weights."""
    layer = nn.Conv2d(channels, len(bias), 1)
    nn.init.normal_(layer.weight, std=0.01)
    with torch.no_grad():
        layer.bias.copy_(bias)  # type: ignore[union-attr]
    return layer


def _first_codes(box_coder: BoxCoder, generator: PriorGenerator) -> list[Tensor]:
    """(A, D) codes of typical boxes for each level, so that the first predictions match objects."""
    priors = generator([(1, 1)] * len(generator.per_cell), torch.device("cpu"))
    boxes = initial_boxes(priors)
    if isinstance(box_coder, DistributionCoder):
        distances = box_coder.distances(boxes, priors)
        codes = _geometric(distances, box_coder.bins)
    else:
        codes = box_coder.encode(boxes, priors)
    return list(torch.split(codes, generator.per_cell))


def _geometric(means: Tensor, bins: int) -> Tensor:
    """Logits of the geometric distributions with means (A, 4), as (A, 4 * bins).

    Every distance keeps some probability. Starting with all of it on the two nearest bins would
    have to be unlearned first.
    """
    slopes = torch.log1p(1 / means.clamp(min=1 / bins))
    return -(slopes[..., None] * torch.arange(bins, device=means.device)).flatten(-2)
