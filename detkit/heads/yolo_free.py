"""An anchor-free YOLO: points, decoupled towers, sides as distributions."""

from __future__ import annotations

from typing import Annotated, ClassVar

import torch
from torch import Tensor

from detkit.errors import UserError
from detkit.heads.decoupled_layers import DecoupledLayers
from detkit.heads.dense import DenseHead
from detkit.heads.matches import Matches
from detkit.interfaces import (
    Assigner,
    BoxCoder,
    BoxLoss,
    ClassificationLoss,
    DistributionCoder,
    Postprocess,
    PriorGenerator,
    Sampler,
)
from detkit.layers import Activation, Norm, Probability, prior_logits
from detkit.ops.initial_boxes import initial_boxes
from detkit.registry import NonNegativeFloat, NonNegativeInt, PositiveInt, Slot, Wired, register
from detkit.structures import FeatureSpec

_NMS = {"score_threshold": 0.001, "iou_threshold": 0.7, "max_detections": 300}


@register("head", "yolo_free")
class YOLOFree(DenseHead):
    """Anchor-free YOLO: one point per cell, towers for class and box, no objectness.

    Paper: YOLOX: Exceeding YOLO Series in 2021 (Ge et al., 2021), the decoupled towers,
    https://arxiv.org/abs/2107.08430
    Paper: TOOD: Task-aligned One-stage Object Detection (Feng et al., 2021), the assignment and
    soft class targets, https://arxiv.org/abs/2108.07755
    Paper: Generalized Focal Loss (Li et al., 2020), sides as distributions,
    https://arxiv.org/abs/2006.04388

    The class score also predicts the fit of the box, because its target contains it; YOLOX has a
    separate output for that. All losses are divided by the sum of these targets; an untrained
    network has about 20 of them in an image with ten objects.

    Args:
        convs: 3x3 convolutions of each tower.
        channels: Channels of the towers; null takes the channels of the finest level.
        norm: Normalisation after each convolution.
        activation: Function after each normalisation.
        prior_probability: Score that an untrained head gives each class.
        empty_image: Positives that an image without objects adds to the divisor of all losses, so
            that it does not outweigh others; 0 divides as in the paper, by at least 1.
        priors: Where it predicts.
        box_coder: What a box code means.
        assigner: Which prior is responsible for which object.
        sampler: Which priors count in the loss.
        classification_loss: Loss of the class scores.
        box_loss: Loss of the boxes.
        distribution_loss: Loss of the distributions of the sides, beside it; null has none, as it
            must be with a box coder other than `distribution`.
        postprocess: Candidates to detections.
    """

    gradient_clip_norm: ClassVar = 10.0  # of YOLOv5 and its successors

    def __init__(
        self,
        *,
        feature_specs: Wired[list[FeatureSpec]],
        num_classes: Wired[int],
        convs: NonNegativeInt = 2,
        channels: PositiveInt | None = None,
        norm: Norm = "batch",
        activation: Activation = "silu",
        prior_probability: Probability = 0.01,
        empty_image: NonNegativeFloat = 20.0,
        priors: Annotated[PriorGenerator, Slot("priors", "points")],
        box_coder: Annotated[BoxCoder, Slot("box_coder", "distribution")],
        assigner: Annotated[Assigner, Slot("assigner", "task_aligned")],
        sampler: Annotated[Sampler, Slot("sampler", "keep_all")],
        classification_loss: Annotated[ClassificationLoss, Slot("loss", "bce", space=("classes",))],
        box_loss: Annotated[BoxLoss, Slot("loss", "giou", {"weight": 2.0}, ("boxes", "codes"))],
        distribution_loss: Annotated[
            BoxLoss | None,
            Slot("loss", "distribution_focal", {"weight": 0.5}, space=("distribution",)),
        ],
        postprocess: Annotated[Postprocess, Slot("postprocess", "nms", _NMS)],
    ) -> None:
        _require_distributions(distribution_loss, box_coder)
        logits = prior_logits(prior_probability, num_classes, classification_loss.activation)
        layers = DecoupledLayers(
            feature_specs=feature_specs,
            class_logits=logits,
            box_codes=_first_codes(box_coder, priors),
            convs=convs,
            channels=channels or feature_specs[0].channels,
            norm=norm,
            activation=activation,
        )
        super().__init__(
            layers=layers,
            priors=priors,
            box_coder=box_coder,
            assigner=assigner,
            sampler=sampler,
            classification_loss=classification_loss,
            box_loss=box_loss,
            quality_target=None,
            quality_loss=None,
            postprocess=postprocess,
            empty_image=empty_image,
        )
        self.distribution_loss = distribution_loss

    def _box_losses_by_name(self, matches: Matches) -> dict[str, Tensor]:
        """(M,) each, weighted: the loss of the boxes, and that of the distributions of sides."""
        losses = super()._box_losses_by_name(matches)
        loss, coder = self.distribution_loss, self.box_coder
        if loss is not None and isinstance(coder, DistributionCoder):
            distances = coder.distances(matches.boxes, matches.priors)
            losses["loss/distribution"] = loss.weight * loss(matches.codes, distances)
        return losses


def _require_distributions(loss: BoxLoss | None, box_coder: BoxCoder) -> None:
    if loss is not None and not isinstance(box_coder, DistributionCoder):
        raise UserError(
            "head 'yolo_free': distribution_loss needs distributions, and this box_coder has "
            "none: choose box_coder 'distribution', or set distribution_loss to null."
        )


def _first_codes(box_coder: BoxCoder, generator: PriorGenerator) -> list[Tensor]:
    """For each level (A, D) codes of typical boxes, so that the first predictions find objects."""
    priors = generator([(1, 1)] * len(generator.per_cell), torch.get_default_device())
    boxes = initial_boxes(priors)
    if isinstance(box_coder, DistributionCoder):
        distances = box_coder.distances(boxes, priors)
        codes = _geometric(distances, box_coder.bins)
    else:
        codes = box_coder.encode(boxes, priors)
    return list(torch.split(codes, generator.per_cell))


def _geometric(means: Tensor, bins: int) -> Tensor:
    """Logits of the geometric distributions (A, 4) with these means, (A, 4 * bins).

    All distances stay possible, where the shares of the nearest two would have to be unlearned.
    """
    slopes = torch.log1p(1 / means.clamp(min=1 / bins))
    return -(slopes[..., None] * torch.arange(bins, device=means.device)).flatten(-2)
