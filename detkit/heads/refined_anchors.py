"""A dense head in two steps: refine the anchors, then detect objects at them."""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor

from detkit.heads.dense import DenseHead
from detkit.interfaces import (
    Assigner,
    BoxCoder,
    BoxLoss,
    ClassificationLoss,
    HeadLayers,
    Losses,
    Neck,
    Postprocess,
    PriorGenerator,
    Sampler,
    Sizes,
)
from detkit.ops.scores import object_logits
from detkit.registry import Fraction, NonNegativeFloat, Slot, register
from detkit.structures import (
    IGNORED,
    Assignment,
    DensePredictions,
    PaddedTargets,
    Priors,
)

_SMOOTH = {"beta": 1.0}
_DELTA = {"stds": (0.1, 0.1, 0.2, 0.2)}
_ANCHORS = {"octaves": 1}


@register("head", "refined_anchors")
class RefinedAnchorsHead(DenseHead):
    """Refines and filters its anchors, then classifies and refines them again: RefineDet.

    The first step predicts at each anchor whether it is on an object of any class, and a box. The
    second step predicts at these boxes, from features that `transfer_neck` fuses. Anchors that the
    first step takes for background neither train the second step nor detect anything. Each step
    matches objects with its own anchors, and divides its losses by its own positives. No gradient
    flows from the second step into the boxes of the first.

    Paper: Single-Shot Refinement Neural Network for Object Detection (Zhang et al., 2018),
        https://arxiv.org/abs/1711.06897

    Public code may count filtered positives as hard negatives with the label of their object; here
    the second step ignores all filtered anchors, as in the paper.

    Args:
        priors: Anchors of the first step.
        box_coder: Converts boxes to codes and back, in both steps.
        assigner: Assigns objects to anchors, in both steps.
        sampler: Selects the anchors that count in the losses of a step.
        refinement_classification_loss: Loss of the first step's objectness.
        refinement_box_loss: Loss of the first step's boxes.
        refinement_layers: Layers of the first step, for one class.
        transfer_neck: Features of the first step to features of the second; keeps the levels.
        classification_loss: Loss of the second step's class scores.
        box_loss: Loss of the second step's boxes.
        layers: Layers of the second step.
        postprocess: Turns candidates into detections.
        objectness_threshold: Anchors whose objectness is not above it are filtered.
        empty_image: Number of positives that an image without objects adds to the divisor of the
            losses of a step, so that it does not outweigh others.
    """

    def __init__(
        self,
        *,
        priors: Annotated[PriorGenerator, Slot("priors", "anchors", _ANCHORS)],
        box_coder: Annotated[BoxCoder, Slot("box_coder", "delta", _DELTA)],
        assigner: Annotated[Assigner, Slot("assigner", "best_prior")],
        sampler: Annotated[Sampler, Slot("sampler", "hard_negatives")],
        refinement_classification_loss: Annotated[
            ClassificationLoss, Slot("loss", "cross_entropy", space=("classes",))
        ],
        refinement_box_loss: Annotated[
            BoxLoss, Slot("loss", "smooth_l1", _SMOOTH, ("boxes", "codes"))
        ],
        refinement_layers: Annotated[HeadLayers, Slot("layers", "ssd")],
        transfer_neck: Annotated[Neck, Slot("neck", "transfer_connection")],
        classification_loss: Annotated[
            ClassificationLoss, Slot("loss", "cross_entropy", space=("classes",))
        ],
        box_loss: Annotated[BoxLoss, Slot("loss", "smooth_l1", _SMOOTH, ("boxes", "codes"))],
        layers: Annotated[HeadLayers, Slot("layers", "ssd")],
        postprocess: Annotated[Postprocess, Slot("postprocess", "nms")],
        objectness_threshold: Fraction = 0.01,
        empty_image: NonNegativeFloat = 0.0,
    ) -> None:
        super().__init__(
            layers=layers,
            priors=priors,
            box_coder=box_coder,
            assigner=assigner,
            sampler=sampler,
            classification_loss=classification_loss,
            box_loss=box_loss,
            postprocess=postprocess,
            empty_image=empty_image,
        )
        self.refinement = DenseHead(
            layers=refinement_layers,
            priors=priors,
            box_coder=box_coder,
            assigner=assigner,
            sampler=sampler,
            classification_loss=refinement_classification_loss,
            box_loss=refinement_box_loss,
            postprocess=postprocess,
            empty_image=empty_image,
        )
        self.transfer_neck = transfer_neck
        self.objectness_threshold = objectness_threshold

    def forward(self, features: list[Tensor]) -> DensePredictions:
        """Raw predictions at the refined anchors; `quality` is the logit of their objectness."""
        return self.predict_at_priors(features)[0]

    def loss(self, features: list[Tensor], targets: PaddedTargets) -> Losses:
        """The weighted and normalised losses of both steps, in float32.

        Those of the first step are named `loss/refinement_...`.
        """
        first, anchors = self.refinement.predict_at_priors(features)
        predictions, priors = self._second_step(features, first, anchors)
        with torch.autocast(features[0].device.type, enabled=False):
            objects = targets.without_classes()
            first_losses = self.refinement.losses_at(first, anchors, objects)
            losses = self.losses_at(predictions, priors, targets)
        renamed = {key.replace("/", "/refinement_"): loss for key, loss in first_losses.items()}
        return renamed | losses

    def count(self, sizes: Sizes, targets: PaddedTargets) -> None:
        """No divisors ahead: the positives depend on the refined anchors; see CountingHead."""

    def predict_at_priors(
        self, features: list[Tensor], outputs: DensePredictions | None = None
    ) -> tuple[DensePredictions, Priors]:
        """The second step's predictions in float32, and the refined anchors of each image.

        The layers of the first step run unless their `outputs` are passed.
        """
        return self._second_step(features, *self.refinement.predict_at_priors(features, outputs))

    def assignment(
        self, predictions: DensePredictions | None, priors: Priors, targets: PaddedTargets
    ) -> Assignment:
        """Assign the objects of each image to its refined anchors; filtered ones are IGNORED."""
        matched, scores = super().assignment(predictions, priors, targets)
        if predictions is not None:
            matched = matched.masked_fill(~self._is_candidate(predictions), IGNORED)
        return Assignment(matched, scores)

    def scores_of(self, predictions: DensePredictions) -> Tensor:
        """(B, P, C) scores of the classes, 0 at filtered anchors."""
        is_candidate = self._is_candidate(predictions)[..., None]
        return torch.where(is_candidate, super().scores_of(predictions), 0)

    def _second_step(
        self, features: list[Tensor], first: DensePredictions, anchors: Priors
    ) -> tuple[DensePredictions, Priors]:
        """Predict at the boxes of the first step.

        Args:
            features: L maps, the input of both steps.
            first: Predictions of the first step.
            anchors: Its P anchors.

        Returns:
            Predictions in float32, and the priors (B, P).
        """
        logits, codes, _ = self.layers(self.transfer_neck(features))
        with torch.no_grad():
            boxes = self.box_coder.decode(first.box_codes, anchors)
            activation = self.refinement.classification_loss.activation
            objectness = object_logits(first.class_logits, activation)
        stride, level = (field.expand(boxes.shape[:2]) for field in (anchors.stride, anchors.level))
        priors = Priors(boxes, stride, level, anchors.level_sizes)
        return DensePredictions(logits.float(), codes.float(), objectness), priors

    def _is_candidate(self, predictions: DensePredictions) -> Tensor:
        """(B, P) bool, whether the first step leaves an anchor to the second."""
        if predictions.quality is None:
            raise ValueError("predictions of the second step carry an objectness, got none")
        return predictions.quality.sigmoid() > self.objectness_threshold
