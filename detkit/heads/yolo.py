"""The heads of YOLOv3, YOLOv4 and YOLOv5: objectness, classes and boxes at anchors."""

from __future__ import annotations

from typing import Annotated, ClassVar

from detkit.heads.dense import DenseHead
from detkit.heads.yolo_layers import YOLOLayers
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
from detkit.layers import Activation, Norm, Probability, prior_logits
from detkit.registry import NonNegativeInt, PositiveFloat, Slot, Wired, register
from detkit.structures import FeatureSpec

# Objectness of 1 at every object, whatever its box; YOLOv5 has the overlap there.
_ONE = {"overlap_share": 0.0}
_OBJECTS_PER_IMAGE = 10.0  # divides the losses of YOLOv3, whatever an image contains
_SEVERAL = {"shape_iou": 0.213, "ignored_iou": 0.7}
_BOXES = {"weight": 8.0}
_NMS_V3 = {"score_threshold": 0.005, "iou_threshold": 0.45}
_NMS_V4 = {"score_threshold": 0.001, "iou_threshold": 0.6}
_NMS_V5 = {**_NMS_V4, "max_detections": 300}


@register("head", "yolov3")
class YOLOv3(DenseHead):
    """YOLOv3: the best anchor in the cell of an object's centre, independent classes.

    Paper: YOLOv3: An Incremental Improvement (Redmon and Farhadi, 2018),
    https://arxiv.org/abs/1804.02767

    Boxes are learned as codes, with squared differences. All losses are sums divided by ten times
    the number of images. The paper's code divides by the number of images only, with a learning
    rate of 0.001, so a rate of 0.01 here takes equal steps.

    Args:
        convs: 3x3 convolutions of each level before its last layers; the first doubles channels.
        norm: Normalisation after each of them.
        activation: Function after each normalisation.
        prior_probability: Score that an untrained head gives each class.
        objects: Objects that an untrained head expects in an image of 640 x 640, on each level.
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

    gradient_clip_norm: ClassVar = 10.0  # of YOLOv5 and its successors

    def __init__(
        self,
        *,
        feature_specs: Wired[list[FeatureSpec]],
        num_classes: Wired[int],
        convs: NonNegativeInt = 1,
        norm: Norm = "batch",
        activation: Activation = "leaky_relu",
        prior_probability: Probability = 0.01,
        objects: PositiveFloat = 8.0,
        priors: Annotated[PriorGenerator, Slot("priors", "anchor_sizes")],
        box_coder: Annotated[BoxCoder, Slot("box_coder", "yolov3")],
        assigner: Annotated[Assigner, Slot("assigner", "grid_cell")],
        sampler: Annotated[Sampler, Slot("sampler", "keep_all")],
        classification_loss: Annotated[ClassificationLoss, Slot("loss", "bce", space=("classes",))],
        box_loss: Annotated[BoxLoss, Slot("loss", "mse", {}, ("boxes", "codes"))],
        quality_target: Annotated[QualityTarget, Slot("quality_target", "objectness", _ONE)],
        quality_loss: Annotated[ClassificationLoss, Slot("loss", "bce", space=("classes",))],
        postprocess: Annotated[Postprocess, Slot("postprocess", "nms", _NMS_V3)],
    ) -> None:
        layers = YOLOLayers(
            feature_specs=feature_specs,
            per_cell=priors.per_cell,
            class_logits=prior_logits(
                prior_probability, num_classes, classification_loss.activation
            ),
            code_size=box_coder.code_size,
            convs=convs,
            norm=norm,
            activation=activation,
            objects=objects,
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
            per_image=_OBJECTS_PER_IMAGE,
        )


@register("head", "yolov4")
class YOLOv4(DenseHead):
    """YOLOv4: every anchor of a fitting shape in the cell of an object's centre, CIoU loss.

    Paper: YOLOv4: Optimal Speed and Accuracy of Object Detection (Bochkovskiy et al., 2020),
    https://arxiv.org/abs/2004.10934

    Losses are normalised as in YOLOv5 and in Scaled-YOLOv4 by the same authors: box and class
    losses are means over the objects' priors, the objectness loss is a mean over all priors.

    Args:
        convs: 3x3 convolutions of each level before its last layers; the first doubles channels.
        norm: Normalisation after each of them.
        activation: Function after each normalisation.
        prior_probability: Score that an untrained head gives each class.
        objects: Objects that an untrained head expects in an image of 640 x 640, on each level.
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

    gradient_clip_norm: ClassVar = 10.0  # of YOLOv5 and its successors

    def __init__(
        self,
        *,
        feature_specs: Wired[list[FeatureSpec]],
        num_classes: Wired[int],
        convs: NonNegativeInt = 1,
        norm: Norm = "batch",
        activation: Activation = "leaky_relu",
        prior_probability: Probability = 0.01,
        objects: PositiveFloat = 8.0,
        priors: Annotated[PriorGenerator, Slot("priors", "anchor_sizes")],
        box_coder: Annotated[BoxCoder, Slot("box_coder", "yolov4")],
        assigner: Annotated[Assigner, Slot("assigner", "grid_cell", _SEVERAL)],
        sampler: Annotated[Sampler, Slot("sampler", "keep_all")],
        classification_loss: Annotated[ClassificationLoss, Slot("loss", "bce", space=("classes",))],
        box_loss: Annotated[BoxLoss, Slot("loss", "ciou", _BOXES, ("boxes", "codes"))],
        quality_target: Annotated[QualityTarget, Slot("quality_target", "objectness", _ONE)],
        quality_loss: Annotated[ClassificationLoss, Slot("loss", "bce", space=("classes",))],
        postprocess: Annotated[Postprocess, Slot("postprocess", "nms", _NMS_V4)],
    ) -> None:
        layers = YOLOLayers(
            feature_specs=feature_specs,
            per_cell=priors.per_cell,
            class_logits=prior_logits(
                prior_probability, num_classes, classification_loss.activation
            ),
            code_size=box_coder.code_size,
            convs=convs,
            norm=norm,
            activation=activation,
            objects=objects,
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
        )


@register("head", "yolov5")
class YOLOv5(DenseHead):
    """YOLOv5: anchors matched by side ratio in three cells of each level, IoU as objectness.

    Paper: Scaled-YOLOv4: Scaling Cross Stage Partial Network (Wang et al., 2020),
    https://arxiv.org/abs/2011.08036, which uses the same assignment and codes; YOLOv5 has no paper

    Box and class losses are means over the objects' priors; the objectness loss is a mean over all
    priors. YOLOv5's factors are 0.05 for boxes, 1 for objectness and 0.5 for classes; all
    are multiplied by 160 here, so that the box loss has a weight of 8. The factor of the classes is
    then 1, because detkit sums the losses over the classes of a prior.

    Args:
        convs: 3x3 convolutions of each level before its last layers; the first doubles channels.
        norm: Normalisation after each of them.
        activation: Function after each normalisation.
        prior_probability: Score that an untrained head gives each class.
        objects: Objects that an untrained head expects in an image of 640 x 640, on each level.
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

    gradient_clip_norm: ClassVar = 10.0  # of YOLOv5 and its successors

    def __init__(
        self,
        *,
        feature_specs: Wired[list[FeatureSpec]],
        num_classes: Wired[int],
        convs: NonNegativeInt = 0,
        norm: Norm = "batch",
        activation: Activation = "silu",
        prior_probability: Probability = 0.01,
        objects: PositiveFloat = 8.0,
        priors: Annotated[PriorGenerator, Slot("priors", "anchor_sizes")],
        box_coder: Annotated[BoxCoder, Slot("box_coder", "yolov5")],
        assigner: Annotated[Assigner, Slot("assigner", "size_ratio")],
        sampler: Annotated[Sampler, Slot("sampler", "keep_all")],
        classification_loss: Annotated[ClassificationLoss, Slot("loss", "bce", space=("classes",))],
        box_loss: Annotated[BoxLoss, Slot("loss", "ciou", _BOXES, ("boxes", "codes"))],
        quality_target: Annotated[QualityTarget, Slot("quality_target", "objectness")],
        quality_loss: Annotated[ClassificationLoss, Slot("loss", "bce", space=("classes",))],
        postprocess: Annotated[Postprocess, Slot("postprocess", "nms", _NMS_V5)],
    ) -> None:
        layers = YOLOLayers(
            feature_specs=feature_specs,
            per_cell=priors.per_cell,
            class_logits=prior_logits(
                prior_probability, num_classes, classification_loss.activation
            ),
            code_size=box_coder.code_size,
            convs=convs,
            norm=norm,
            activation=activation,
            objects=objects,
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
        )
