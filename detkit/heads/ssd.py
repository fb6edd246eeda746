"""SSD and SSDlite: priors of their own on each level, softmax, hard negatives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal

import torch
from torch import Tensor, nn

from detkit.heads.dense import DenseHead
from detkit.heads.towers import flatten_maps
from detkit.interfaces import (
    Assigner,
    BoxCoder,
    BoxLoss,
    ClassificationLoss,
    Postprocess,
    PriorGenerator,
    Sampler,
)
from detkit.layers.initialisation import (
    Probability,
    normal_convolutions,
    prior_logits,
    uniform_convolutions,
)
from detkit.layers.mobile import MOBILE_STD, depthwise_conv
from detkit.registry import NonNegativeFloat, Slot, Wired, register
from detkit.structures import DensePredictions, FeatureSpec

_STDS = {"stds": (0.1, 0.1, 0.2, 0.2)}  # the weights 10, 10, 5, 5
_NMS = {
    "score_threshold": 0.01,
    "max_candidates": 400,
    "iou_threshold": 0.45,
    "max_detections": 200,
}
_NMS_LITE = {
    "score_threshold": 0.001,
    "max_candidates": 300,
    "iou_threshold": 0.55,
    "max_detections": 300,
}


class LevelLayers(nn.Module):
    """One class layer and one box layer for each level. A counts the priors of a cell."""

    def __init__(
        self,
        *,
        feature_specs: list[FeatureSpec],
        per_cell: list[int],
        class_logits: Tensor,
        code_size: int,
        layer: Callable[[int, int], nn.Module],
    ) -> None:
        """Build the layers.

        Args:
            feature_specs: The levels that come in.
            per_cell: A for each level.
            class_logits: (K,) what the class layers answer to features of zeros.
            code_size: D of the box coder.
            layer: Builds a layer of the channels that come in and those that go out; its last
                convolution has a bias.
        """
        super().__init__()
        levels = list(zip(feature_specs, per_cell, strict=True))
        self._num_logits, self._code_size = len(class_logits), code_size
        self.class_layers = nn.ModuleList(
            layer(spec.channels, priors * len(class_logits)) for spec, priors in levels
        )
        self.box_layers = nn.ModuleList(
            layer(spec.channels, priors * code_size) for spec, priors in levels
        )
        for class_layer, priors in zip(self.class_layers, per_cell, strict=True):
            last = [part for part in class_layer.modules() if isinstance(part, nn.Conv2d)][-1]
            with torch.no_grad():
                last.bias.copy_(class_logits.repeat(priors))  # type: ignore[union-attr]

    def forward(self, features: list[Tensor]) -> DensePredictions:
        """L maps (B, C_l, H_l, W_l) to predictions in the order level, row, column, prior."""
        levels = list(zip(features, self.class_layers, self.box_layers, strict=True))
        logits = [flatten_maps(layer(level), self._num_logits) for level, layer, _ in levels]
        codes = [flatten_maps(layer(level), self._code_size) for level, _, layer in levels]
        return DensePredictions(torch.cat(logits, dim=1), torch.cat(codes, dim=1), None)


@register("head", "ssd")
class SSD(DenseHead):
    """SSD: priors of one size on each level, a layer for each level, softmax, hard negatives.

    Paper: SSD: Single Shot MultiBox Detector (Liu et al., 2016), https://arxiv.org/abs/1512.02325

    Args:
        prior_probability: Score that an untrained head gives the classes; null gives all classes
            and background the same, which suits hard negatives.
        empty_image: What an image without objects adds to the positives that all losses are divided
            by, so that it does not outweigh others; 0 divides as the paper does, by 1 at least.
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
        prior_probability: Probability | None = None,
        empty_image: NonNegativeFloat = 10.0,
        priors: Annotated[PriorGenerator, Slot("priors", "ssd_boxes")],
        box_coder: Annotated[BoxCoder, Slot("box_coder", "delta", _STDS)],
        assigner: Annotated[Assigner, Slot("assigner", "best_prior")],
        sampler: Annotated[Sampler, Slot("sampler", "hard_negatives")],
        classification_loss: Annotated[
            ClassificationLoss, Slot("loss", "cross_entropy", space=("classes",))
        ],
        box_loss: Annotated[
            BoxLoss, Slot("loss", "smooth_l1", {"beta": 1.0}, space=("boxes", "codes"))
        ],
        postprocess: Annotated[Postprocess, Slot("postprocess", "nms", _NMS)],
    ) -> None:
        layers = LevelLayers(
            feature_specs=feature_specs,
            per_cell=priors.per_cell,
            class_logits=_first_logits(
                prior_probability, num_classes, classification_loss.activation
            ),
            code_size=box_coder.code_size,
            layer=_plain_layer,
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
            empty_image=empty_image,
        )


@register("head", "ssdlite")
class SSDlite(DenseHead):
    """SSDlite: SSD with depthwise separable layers, for networks of few parameters.

    Paper: MobileNetV2: Inverted Residuals and Linear Bottlenecks (Sandler et al., 2018),
        section 6.2, https://arxiv.org/abs/1801.04381

    Args:
        prior_probability: Score that an untrained head gives the classes; null gives all classes
            and background the same, which suits hard negatives.
        empty_image: What an image without objects adds to the positives that all losses are divided
            by, so that it does not outweigh others; 0 divides as the paper does, by 1 at least.
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
        prior_probability: Probability | None = None,
        empty_image: NonNegativeFloat = 10.0,
        priors: Annotated[PriorGenerator, Slot("priors", "ssd_boxes")],
        box_coder: Annotated[BoxCoder, Slot("box_coder", "delta", _STDS)],
        assigner: Annotated[Assigner, Slot("assigner", "best_prior")],
        sampler: Annotated[Sampler, Slot("sampler", "hard_negatives")],
        classification_loss: Annotated[
            ClassificationLoss, Slot("loss", "cross_entropy", space=("classes",))
        ],
        box_loss: Annotated[
            BoxLoss, Slot("loss", "smooth_l1", {"beta": 1.0}, space=("boxes", "codes"))
        ],
        postprocess: Annotated[Postprocess, Slot("postprocess", "nms", _NMS_LITE)],
    ) -> None:
        layers = LevelLayers(
            feature_specs=feature_specs,
            per_cell=priors.per_cell,
            class_logits=_first_logits(
                prior_probability, num_classes, classification_loss.activation
            ),
            code_size=box_coder.code_size,
            layer=_separable_layer,
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
            empty_image=empty_image,
        )


def _plain_layer(in_channels: int, out_channels: int) -> nn.Module:
    layer = nn.Conv2d(in_channels, out_channels, 3, padding=1)
    uniform_convolutions(layer)
    return layer


def _separable_layer(in_channels: int, out_channels: int) -> nn.Module:
    layer = nn.Sequential(depthwise_conv(in_channels), nn.Conv2d(in_channels, out_channels, 1))
    normal_convolutions(layer, MOBILE_STD)
    return layer


def _first_logits(
    probability: float | None, num_classes: int, activation: Literal["sigmoid", "softmax"]
) -> Tensor:
    """(K,) the logits of an untrained head."""
    if probability is not None:
        return prior_logits(probability, num_classes, activation)
    return torch.zeros(num_classes + (activation == "softmax"))
