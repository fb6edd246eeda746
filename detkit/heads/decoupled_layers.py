"""Layers of an anchor-free YOLO: a class tower and a box tower for each level."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import ClassVar

import torch
from torch import Tensor, nn

from detkit.heads.towers import flatten_maps
from detkit.interfaces import BoxCoder, DistributionCoder, PriorGenerator
from detkit.layers import (
    Activation,
    ConvBlock,
    Norm,
    Probability,
    prior_logits,
    set_batch_norms,
)
from detkit.ops import ClassActivation
from detkit.ops.initial_boxes import initial_boxes
from detkit.registry import (
    Fraction,
    NonNegativeInt,
    PositiveFloat,
    PositiveInt,
    Wired,
    register,
)
from detkit.structures import DensePredictions, FeatureSpec


@register("layers", "decoupled")
class DecoupledLayers(nn.Module):
    """Per level: a class tower and a box tower of 3x3 convolutions with 1x1 output layers.

    Paper: YOLOX: Exceeding YOLO Series in 2021 (Ge et al., 2021),
    https://arxiv.org/abs/2107.08430

    An untrained head predicts boxes of typical size at each prior, so that the first assignments
    by predictions match objects. A counts the priors per cell. The box tower also predicts the
    quality.

    Args:
        feature_specs: Channels and stride of each input level.
        num_classes: C.
        priors: The head's priors, for the first box codes.
        box_coder: The head's box coder, for the first box codes.
        class_activation: Activation of the classification loss.
        with_quality: Whether to predict a quality logit, YOLOX's objectness.
        convs: 3x3 convolutions in each tower.
        channels: Channels of the towers; null takes the channels of the finest level.
        norm: Normalisation after each convolution.
        activation: Function after each normalisation.
        prior_probability: Score of each class in an untrained head.
        entries: Whether a 1x1 convolution brings each level to `channels` first; YOLOv8 has none.
        class_channels: Channels of the class towers; null takes `channels`.
        box_channels: Channels of the box towers; null takes `channels`.
        separable_classes: Whether each convolution of a class tower is a depthwise 3x3 one and a
            1x1 one, as in YOLO11.
        norm_eps: Added to the variance in batch norms.
        norm_momentum: Share of a batch in the running statistics.
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
        with_quality: Wired[bool] = False,
        convs: NonNegativeInt = 2,
        channels: PositiveInt | None = None,
        norm: Norm = "batch",
        activation: Activation = "silu",
        prior_probability: Probability = 0.01,
        entries: bool = True,
        class_channels: PositiveInt | None = None,
        box_channels: PositiveInt | None = None,
        separable_classes: bool = False,
        norm_eps: PositiveFloat = 1e-5,
        norm_momentum: Fraction = 0.1,
    ) -> None:
        super().__init__()
        with torch.device("cpu"):  # small tensors, which are values on the meta device too
            class_logits = prior_logits(prior_probability, num_classes, class_activation)  # (K,)
            box_codes = _first_codes(box_coder, priors)  # (A, D) for each level
            class_biases = [class_logits.repeat(len(codes)) for codes in box_codes]
        width = channels or feature_specs[0].channels
        inputs = [width if entries else spec.channels for spec in feature_specs]
        class_width, box_width = class_channels or width, box_channels or width

        block = partial(ConvBlock, norm=norm, activation=activation)
        self.entries = nn.ModuleList(
            block(spec.channels, width, kernel_size=1) if entries else nn.Identity()
            for spec in feature_specs
        )
        class_block = partial(_separable, block) if separable_classes else block
        self.class_towers = _towers(inputs, class_width, convs, class_block)
        self.box_towers = _towers(inputs, box_width, convs, block)
        class_inputs, box_inputs = (
            [channels if convs else i for i in inputs] for channels in (class_width, box_width)
        )
        self.class_layers = _output_layers(class_inputs, class_biases)
        self.box_layers = _output_layers(box_inputs, [codes.flatten() for codes in box_codes])
        odds = torch.logit(torch.tensor(prior_probability))
        biases = [odds.repeat(len(codes)) for codes in box_codes]
        self.quality_layers = _output_layers(box_inputs, biases) if with_quality else None
        set_batch_norms(self, eps=norm_eps, momentum=norm_momentum)
        self._num_logits, self._code_size = len(class_logits), box_codes[0].shape[1]

    def forward(self, features: list[Tensor]) -> DensePredictions:
        """L maps (B, C_l, H_l, W_l) to predictions in the order level, row, column, prior."""
        entered = [entry(level) for entry, level in zip(self.entries, features, strict=True)]

        classes = [tower(level) for tower, level in zip(self.class_towers, entered, strict=True)]
        boxes = [tower(level) for tower, level in zip(self.box_towers, entered, strict=True)]

        def flat(layers: nn.ModuleList, maps: list[Tensor], values: int) -> Tensor:
            parts = zip(layers, maps, strict=True)
            return torch.cat([flatten_maps(layer(level), values) for layer, level in parts], dim=1)

        logits = flat(self.class_layers, classes, self._num_logits)
        codes = flat(self.box_layers, boxes, self._code_size)
        if self.quality_layers is None:
            return DensePredictions(logits, codes, None)
        return DensePredictions(logits, codes, flat(self.quality_layers, boxes, 1).squeeze(-1))


def _towers(
    inputs: list[int], channels: int, convs: int, block: Callable[[int, int], nn.Module]
) -> nn.ModuleList:
    """A tower of `convs` blocks for each level."""
    return nn.ModuleList(
        nn.Sequential(*(block(before, channels) for before in [first, *[channels] * convs][:convs]))
        for first in inputs
    )


def _separable(block: Callable[..., ConvBlock], before: int, after: int) -> nn.Sequential:
    """A depthwise 3x3 convolution, then a 1x1 convolution."""
    return nn.Sequential(block(before, before, groups=before), block(before, after, kernel_size=1))


def _output_layers(channels: list[int], biases: list[Tensor]) -> nn.ModuleList:
    pairs = zip(channels, biases, strict=True)
    return nn.ModuleList(_output_layer(width, bias) for width, bias in pairs)


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
