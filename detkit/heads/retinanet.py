"""RetinaNet: anchors and focal loss."""

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
    Sampler,
)
from detkit.layers.initialisation import Probability, prior_logits
from detkit.registry import NonNegativeFloat, PositiveInt, Slot, Wired, register
from detkit.structures import FeatureSpec


@register("head", "retinanet")
class RetinaNet(DenseHead):
    """RetinaNet: several anchors per cell, focal loss against the many background anchors.

    Paper: Focal Loss for Dense Object Detection (Lin et al., 2017),
    https://arxiv.org/abs/1708.02002

    The box loss is L1, as in public implementations; the paper has smooth L1.

    Args:
        convs: 3x3 convolutions of each tower before its last layer.
        norm: Normalisation in the towers.
        prior_probability: Score that an untrained head gives each class.
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
        convs: PositiveInt = 4,
        norm: Literal["none", "group"] = "none",
        prior_probability: Probability = 0.01,
        empty_image: NonNegativeFloat = 10.0,
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
        layers = Towers(
            feature_specs=feature_specs,
            per_cell=priors.per_cell,
            class_logits=prior_logits(
                prior_probability, num_classes, classification_loss.activation
            ),
            code_size=box_coder.code_size,
            convs=convs,
            norm=norm,
            with_quality=False,
            with_scales=False,
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
