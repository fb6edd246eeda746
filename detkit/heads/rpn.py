"""The region proposal network: class-agnostic regions that may hold an object."""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor

from detkit.heads.candidates import best_candidates
from detkit.heads.counting import count_ahead
from detkit.heads.dense import DenseHead
from detkit.heads.matches import Matches, Sampled
from detkit.interfaces import (
    Assigner,
    BoxCoder,
    BoxLoss,
    ClassificationLoss,
    HeadLayers,
    Losses,
    Postprocess,
    PriorGenerator,
    Sampler,
    Sizes,
)
from detkit.ops import (
    class_scores,
    clip_boxes,
    sides_at_least,
)
from detkit.registry import NonNegativeFloat, Slot, register
from detkit.structures import DensePredictions, PaddedTargets, Priors, Regions

_ANCHORS = {"scale": 8.0, "octaves": 1}
_OVERLAP = {"foreground": 0.7, "background": 0.3}
# As many regions per level before suppression as after it in all, twice as many in training.
_TESTING = {
    "score_threshold": 0.0,
    "max_candidates": 1000,
    "iou_threshold": 0.7,
    "max_detections": 1000,
}
_TRAINING = {**_TESTING, "max_candidates": 2000, "max_detections": 2000}


@register("proposer", "rpn")
class RPN(DenseHead):
    """Region proposal network: anchors with a single class, "object".

    Paper: Faster R-CNN: Towards Real-Time Object Detection with Region Proposal Networks (Ren et
    al., 2015), https://arxiv.org/abs/1506.01497; one anchor size per level as in Feature Pyramid
    Networks (Lin et al., 2017), https://arxiv.org/abs/1612.03144

    Both losses are divided by the number of sampled anchors, as public implementations do; the
    paper divides the box loss by the number of positions and weighs it with 10, which is about the
    same. Suppression of overlapping regions is done level by level.

    Args:
        min_size: Regions with a shorter side, in pixels, are dropped.
        priors: Anchors at which it predicts.
        box_coder: Converts boxes to codes and back.
        assigner: Assigns objects to anchors.
        sampler: Selects the anchors that count in the loss.
        classification_loss: Loss of the objectness.
        box_loss: Loss of the boxes.
        layers: The trainable part.
        postprocess: Turns candidates into regions, with the level as label.
        training_postprocess: The same for regions that the roi head trains on.
    """

    def __init__(
        self,
        *,
        min_size: NonNegativeFloat = 1e-3,
        priors: Annotated[PriorGenerator, Slot("priors", "anchors", _ANCHORS)],
        box_coder: Annotated[BoxCoder, Slot("box_coder", "delta")],
        assigner: Annotated[Assigner, Slot("assigner", "max_iou", _OVERLAP)],
        sampler: Annotated[Sampler, Slot("sampler", "random_balanced")],
        classification_loss: Annotated[ClassificationLoss, Slot("loss", "bce", space=("classes",))],
        box_loss: Annotated[BoxLoss, Slot("loss", "smooth_l1", space=("boxes", "codes"))],
        layers: Annotated[HeadLayers, Slot("layers", "rpn")],
        postprocess: Annotated[Postprocess, Slot("postprocess", "nms", _TESTING)],
        training_postprocess: Annotated[Postprocess, Slot("postprocess", "nms", _TRAINING)],
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
        )
        self.training_postprocess = training_postprocess
        self.min_size = min_size

    def loss(self, features: list[Tensor], targets: PaddedTargets) -> Losses:
        """The weighted and normalised losses of a batch, in float32, whatever the labels."""
        return super().loss(features, targets.without_classes())

    def assign(self, features: list[Tensor], targets: PaddedTargets) -> tuple[Priors, Tensor]:
        """The anchors, and the object of each (B, P), whatever its label."""
        return super().assign(features, targets.without_classes())

    def count(self, sizes: Sizes, targets: PaddedTargets) -> Tensor | None:
        """The one divisor of a batch, for maps of these sizes; see CountingHead."""
        counted = count_ahead(self, sizes, targets.without_classes())
        return None if counted is None else counted.priors

    def loss_and_proposals(
        self, features: list[Tensor], targets: PaddedTargets, image_sizes: Tensor
    ) -> tuple[Losses, Regions]:
        """The losses of a batch, and the regions for a roi head to learn from."""
        predictions, priors = self.predict_at_priors(features)
        with torch.autocast(features[0].device.type, enabled=False):
            losses = self.losses_at(predictions, priors, targets.without_classes())
            regions = self._regions(predictions, priors, image_sizes, self.training_postprocess)
        return losses, regions

    def propose(self, features: list[Tensor], image_sizes: Tensor) -> Regions:
        """The regions of each image, best first, inside its height and width (B, 2)."""
        predictions, priors = self.predict_at_priors(features)
        with torch.autocast(features[0].device.type, enabled=False):
            return self._regions(predictions, priors, image_sizes, self.postprocess)

    def _normalised(
        self,
        class_loss: Tensor,
        matches: Matches,
        predictions: DensePredictions,
        sampled: Sampled,
    ) -> Losses:
        """Sums over the batch divided by the sampled anchors of all ranks, and weighted."""
        count = self.divisors(sampled.counted.sum().to(class_loss.dtype))
        codes = matches.rows.clear(matches.rows.of(predictions.box_codes))  # (M, D)
        box_loss = matches.rows.clear(self._box_losses(codes, matches)).sum()
        divisor = 1 if self.classification_loss.normalised else count
        return {
            "loss/classification": self.classification_loss.weight * class_loss / divisor,
            "loss/box": self.box_loss.weight * box_loss / count,
        }

    @torch.no_grad()
    def _regions(
        self,
        predictions: DensePredictions,
        priors: Priors,
        image_sizes: Tensor,
        postprocess: Postprocess,
    ) -> Regions:
        scores = class_scores(predictions.class_logits, self.classification_loss.activation)
        best = best_candidates(scores, predictions.box_codes, priors, postprocess)
        boxes = clip_boxes(self.box_coder.decode(best.codes, best.priors), image_sizes[:, None])
        scores = torch.where(sides_at_least(boxes, self.min_size), best.scores, 0)
        # Use the level as label, so that levels do not suppress each other.
        regions = postprocess(boxes, scores, best.priors.level)
        columns = torch.arange(regions.scores.shape[1], device=scores.device)
        return Regions(regions.boxes, columns < regions.counts[:, None])
