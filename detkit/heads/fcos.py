"""FCOS: one point per cell."""

from __future__ import annotations

from typing import Annotated, Literal

from detkit.heads.dense import DenseHead
from detkit.heads.towers import Towers
from detkit.interfaces import (
    Assigner,
    BoxCoder,
    BoxLoss,
    ClassificationLoss,
    Postprocess,
    PriorGenerator,
    QualityTarget,
    Sampler,
)
from detkit.layers.initialisation import Probability, prior_logits
from detkit.registry import NonNegativeFloat, PositiveFloat, PositiveInt, Slot, Wired, register
from detkit.structures import FeatureSpec


@register("head", "fcos")
class FCOS(DenseHead):
    """FCOS: one point per cell, the distances to the box's sides, and a centreness score.

    Paper: FCOS: A Simple and Strong Anchor-free Object Detector (Tian et al., 2020),
    https://arxiv.org/abs/2006.09214

    Centreness is predicted by the box tower and the box loss is GIoU, the improvements that the
    authors made after the first version.

    Args:
        convs: 3x3 convolutions of each tower before its last layer.
        norm: Normalisation in the towers.
        prior_probability: Score that an untrained head gives each class.
        level_scales: Whether each level has a learnable factor on its box codes.
        score_exponent: The final score is (class score * quality) to this power.
        weigh_boxes_by_quality: Whether central points count more in the box loss.
        empty_image: What an image without objects adds to the positives that all losses are divided
            by, so that it does not outweigh others; 0 divides as the paper does, by 1 at least.
        priors: Where it predicts.
        box_coder: What a box code means.
        assigner: Which prior is responsible for which object.
        sampler: Which priors count in the loss.
        classification_loss: Loss of the class scores.
        box_loss: Loss of the boxes.
        quality_target: What the quality branch learns.
        quality_loss: Loss of the quality branch.
        postprocess: Candidates to detections.
    """

    def __init__(
        self,
        *,
        feature_specs: Wired[list[FeatureSpec]],
        num_classes: Wired[int],
        convs: PositiveInt = 4,
        norm: Literal["none", "group"] = "group",
        prior_probability: Probability = 0.01,
        level_scales: bool = True,
        score_exponent: PositiveFloat = 0.5,
        weigh_boxes_by_quality: bool = False,
        empty_image: NonNegativeFloat = 10.0,
        priors: Annotated[PriorGenerator, Slot("priors", "points")],
        box_coder: Annotated[BoxCoder, Slot("box_coder", "distance")],
        assigner: Annotated[Assigner, Slot("assigner", "fcos")],
        sampler: Annotated[Sampler, Slot("sampler", "keep_all")],
        classification_loss: Annotated[
            ClassificationLoss, Slot("loss", "focal", space=("classes",))
        ],
        box_loss: Annotated[BoxLoss, Slot("loss", "giou", space=("boxes", "codes"))],
        quality_target: Annotated[QualityTarget, Slot("quality_target", "centreness")],
        quality_loss: Annotated[ClassificationLoss, Slot("loss", "bce", space=("classes",))],
        postprocess: Annotated[Postprocess, Slot("postprocess", "nms", {"iou_threshold": 0.6})],
    ) -> None:
        logits = prior_logits(prior_probability, num_classes, classification_loss.activation)
        layers = Towers(
            feature_specs=feature_specs,
            per_cell=priors.per_cell,
            class_logits=logits,
            code_size=box_coder.code_size,
            convs=convs,
            norm=norm,
            with_quality=True,
            with_scales=level_scales,
        )
        super().__init__(
            layers=layers,
            priors=priors,
            box_coder=box_coder,
            assigner=assigner,
            sampler=sampler,
            classification_loss=classification_loss,
            box_loss=box_loss,
            quality_target=quality_target,
            quality_loss=quality_loss,
            postprocess=postprocess,
            empty_image=empty_image,
            score_exponent=score_exponent,
            weigh_boxes_by_quality=weigh_boxes_by_quality,
        )
