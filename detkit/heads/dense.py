"""The procedure of every dense head: predict at priors, assign, compute losses, or detect."""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor, nn

from detkit.heads.anchored_losses import AnchoredBoxLoss, size_weights, unmatched_losses
from detkit.heads.candidates import best_candidates
from detkit.heads.compatibility import (
    prior_mismatch,
    require_distributions,
    require_quality_pair,
)
from detkit.heads.counting import box_counts, count_ahead, has_one_divisor
from detkit.heads.matches import (
    Matches,
    Sampled,
    find_matches,
    predicted_scores,
    quality_labels,
    quality_scores,
    ranking_values,
    yes_or_no_losses,
)
from detkit.interfaces import (
    Assigner,
    BoxCoder,
    BoxLoss,
    ClassificationLoss,
    DistributionCoder,
    HeadLayers,
    Losses,
    Postprocess,
    PriorGenerator,
    QualityTarget,
    Sampler,
    Sizes,
)
from detkit.ops import (
    Divisors,
    assign_batch,
    class_scores,
    clip_boxes,
    require_batches,
    require_comparable,
    require_padded,
)
from detkit.registry import NonNegativeFloat, PositiveFloat, Slot, register
from detkit.structures import (
    IGNORED,
    Assignment,
    DensePredictions,
    PaddedDetections,
    PaddedTargets,
    Priors,
)


@register("head", "dense")
class DenseHead(nn.Module):
    """The procedure of every dense head; its parts make it FCOS, SSD or YOLO.

    Pages such as conf/model/head/fcos.yaml name the parts: `head: {name: fcos}`.

    Args:
        priors: Boxes or points at which the head predicts.
        box_coder: Converts boxes to codes and back.
        assigner: Assigns objects to priors.
        sampler: Selects the priors that count in the loss.
        classification_loss: Loss of the class scores; also defines how logits become scores.
        box_loss: Loss of the boxes.
        distribution_loss: Loss of the distributions of box sides, beside the box loss; needs the
            box coder `distribution`.
        quality_target: Target of the quality branch; null for a head without one.
        quality_loss: Loss of the quality branch; null for a head without one.
        layers: The trainable part.
        postprocess: Turns candidates into detections.
        empty_image: Number of positives that an image without objects adds to the divisor of all
            losses, so that it does not outweigh others; 0 divides as most papers do, by at least 1.
        objects_per_image: Divide all losses by this number per image instead of the number of
            positives.
    """

    def __init__(
        self,
        *,
        priors: Annotated[PriorGenerator, Slot("priors")],
        box_coder: Annotated[BoxCoder, Slot("box_coder")],
        assigner: Annotated[Assigner, Slot("assigner")],
        sampler: Annotated[Sampler, Slot("sampler", "keep_all")],
        classification_loss: Annotated[ClassificationLoss, Slot("loss", space=("classes",))],
        box_loss: Annotated[BoxLoss, Slot("loss", space=("boxes", "codes"))],
        distribution_loss: Annotated[BoxLoss | None, Slot("loss", space=("distribution",))] = None,
        quality_target: Annotated[QualityTarget | None, Slot("quality_target")] = None,
        quality_loss: Annotated[ClassificationLoss | None, Slot("loss", space=("classes",))] = None,
        layers: Annotated[HeadLayers, Slot("layers")],
        postprocess: Annotated[Postprocess, Slot("postprocess", "nms")],
        empty_image: NonNegativeFloat = 0.0,
        objects_per_image: PositiveFloat | None = None,
    ) -> None:
        super().__init__()
        require_padded(postprocess)
        require_comparable(box_loss.space, box_coder)
        require_batches(assigner)
        require_quality_pair(quality_target, quality_loss)
        require_distributions(distribution_loss, box_coder)
        self.layers = layers
        self.priors = priors
        self.box_coder = box_coder
        self.assigner = assigner
        self.sampler = sampler
        self.classification_loss = classification_loss
        self.box_loss = box_loss
        self.distribution_loss = distribution_loss
        self.quality_target = quality_target
        self.quality_loss = quality_loss
        self.postprocess = postprocess
        self.empty_image = empty_image
        self.objects_per_image = objects_per_image
        self._learns_background = quality_target is not None and quality_target.learns_background
        self._anchored = isinstance(box_loss, AnchoredBoxLoss)
        self.divisors, self.has_one_divisor = Divisors(), has_one_divisor(self)

    def forward(self, features: list[Tensor]) -> DensePredictions:
        """Raw predictions of all levels, in the order of the priors."""
        return self.layers(features)

    def loss(self, features: list[Tensor], targets: PaddedTargets) -> Losses:
        """The weighted and normalised losses of a batch, in float32.

        Without any object all are finite and give every parameter a gradient (zero, for boxes).
        """
        predictions, priors = self.predict_at_priors(features)
        with torch.autocast(features[0].device.type, enabled=False):
            return self.losses_at(predictions, priors, targets)

    @torch.no_grad()
    def predict(self, features: list[Tensor], image_sizes: Tensor) -> PaddedDetections:
        """The detections of each image, best first, inside its (height, width) (B, 2)."""
        predictions, priors = self.predict_at_priors(features)
        with torch.autocast(features[0].device.type, enabled=False):
            return self.postprocess(*self.candidates_at(predictions, priors, image_sizes))

    @torch.no_grad()
    def boxes_and_scores(
        self, features: list[Tensor], image_sizes: Tensor
    ) -> tuple[Tensor, Tensor]:
        """All boxes (B, P, 4), inside their image, and scores (B, P, C), without suppression."""
        predictions, priors = self.predict_at_priors(features)
        with torch.autocast(features[0].device.type, enabled=False):
            boxes = self.box_coder.decode(predictions.box_codes, priors)
            return clip_boxes(boxes, image_sizes[:, None]), self.scores_of(predictions)

    @torch.no_grad()
    def assign(self, features: list[Tensor], targets: PaddedTargets) -> tuple[Priors, Tensor]:
        """The priors, and the object (B, P) that the loss assigns to each; for inspection."""
        predictions, priors = self.predict_at_priors(features)
        return priors, self.assignment(predictions, priors, targets).matched

    def candidates_at(
        self, predictions: DensePredictions, priors: Priors, image_sizes: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Boxes (B, K, 4), inside their image, scores and labels (B, K) to post-process."""
        scores = self.scores_of(predictions)  # (B, P, C)
        best = best_candidates(scores, predictions.box_codes, priors, self.postprocess)
        boxes = self.box_coder.decode(best.codes, best.priors)
        return clip_boxes(boxes, image_sizes[:, None]), best.scores, best.labels

    def count(self, sizes: Sizes, targets: PaddedTargets) -> Tensor | None:
        """The (3,) divisors of a batch, for feature maps of these sizes; see CountingHead."""
        counted = count_ahead(self, sizes, targets)
        return None if counted is None else counted.divisors

    def predict_at_priors(
        self, features: list[Tensor], outputs: DensePredictions | None = None
    ) -> tuple[DensePredictions, Priors]:
        """Predictions in float32, whatever the layers ran in, and the priors they belong to.

        The layers run unless their `outputs` are passed.
        """
        logits, codes, quality = self.layers(features) if outputs is None else outputs
        sizes = [(level.shape[-2], level.shape[-1]) for level in features]
        priors = self.priors(sizes, features[0].device)
        if priors.boxes.shape[0] != logits.shape[1]:
            raise prior_mismatch(logits.shape[1], priors.boxes.shape[0], sizes)
        quality = None if quality is None else quality.float()
        return DensePredictions(logits.float(), codes.float(), quality), priors

    @torch.no_grad()
    def assignment(
        self, predictions: DensePredictions | None, priors: Priors, targets: PaddedTargets
    ) -> Assignment:
        """Assign the objects of each image to its priors; those on ignored objects are IGNORED.

        Only assigners that use predictions need them.
        """
        scores: Tensor | None = None
        boxes: Tensor | None = None
        if self.assigner.uses_predictions and predictions is not None:
            scores = predicted_scores(self, predictions)
            boxes = self.box_coder.decode(predictions.box_codes, priors)
        return assign_batch(self.assigner, priors, scores, boxes, targets)

    def losses_at(
        self, predictions: DensePredictions, priors: Priors, targets: PaddedTargets
    ) -> Losses:
        """The losses of predictions in float32 at their priors; see `loss`."""
        # Match each prior with an object or background.
        assignment = self.assignment(predictions, priors, targets)
        matched, soft = assignment  # (B, P) each, `soft` may be None
        # Look up the class of each prior; with an objectness, classes are learned at objects only.
        labels = targets.labels_of(matched)  # (B, P)
        if self._learns_background:
            labels = labels.masked_fill(matched < 0, IGNORED)
        # The sampler decides which priors count.
        values = torch.zeros_like(matched, dtype=torch.float32)
        if self.sampler.ranks_by != "nothing":
            values = ranking_values(
                self, predictions, priors, assignment=assignment, labels=labels, targets=targets
            )
        counted = self.sampler(matched, values)  # (B, P) bool
        labels = torch.where(counted, labels, IGNORED)
        # All counted priors learn classes, the positives boxes.
        logits = predictions.class_logits.flatten(0, 1)  # (B * P, K)
        scores = None if soft is None else soft.flatten()
        class_losses = self.classification_loss(logits, labels.flatten(), scores).view_as(labels)
        class_loss = torch.where(labels == IGNORED, 0, class_losses).sum()
        positive = counted & (matched >= 0)
        matches = find_matches(positive, assignment, priors, targets)
        sampled = Sampled(priors, counted, positive)
        return self._normalised(class_loss, matches, predictions, sampled)

    def _normalised(
        self,
        class_loss: Tensor,
        matches: Matches,
        predictions: DensePredictions,
        sampled: Sampled,
    ) -> Losses:
        """Weighted sums over the batch, divided by the counts of all ranks.

        The counts are the positives, the shares of the box loss, and the positives or, for an
        objectness, the cells.
        """
        codes = matches.rows.clear(matches.rows.of(predictions.box_codes))  # (M, D)
        shares = matches.weights  # (M,)
        if self._anchored:
            shares = size_weights(self.box_loss, matches, sampled.priors, self.priors)
        if self.quality_target is not None:
            with torch.no_grad():
                boxes = self.box_coder.decode(codes, matches.priors)
                quality_targets = self.quality_target(matches.priors, matches.boxes, boxes)  # (M,)
                quality_targets = matches.rows.clear(quality_targets)
            shares = shares * quality_targets if self.quality_target.weighs_boxes else shares
        counts = box_counts(self, matches.weights, shares, sampled)
        class_divisor, box_divisor, quality_divisor = self.divisors(counts)
        divisor = 1 if self.classification_loss.normalised else class_divisor
        losses = {"loss/classification": self.classification_loss.weight * class_loss / divisor}
        for name, box_losses in self._weighted_box_losses(codes, matches).items():
            losses[name] = (shares * matches.rows.clear(box_losses)).sum() / box_divisor
        if self._anchored:
            prior_losses = unmatched_losses(self.box_loss, predictions.box_codes, sampled.positive)
            losses["loss/priors"] = prior_losses.sum() / box_divisor
        if self.quality_loss and predictions.quality is not None:
            labels = quality_labels(sampled, self._learns_background)  # (B, P)
            scores = matches.rows.back(quality_targets, labels.shape)
            quality_losses = yes_or_no_losses(
                self.quality_loss, predictions.quality, labels, scores
            )
            quality_loss = torch.where(labels == IGNORED, 0, quality_losses).sum()
            divisor = 1 if self.quality_loss.normalised else quality_divisor
            losses["loss/quality"] = self.quality_loss.weight * quality_loss / divisor
        return losses

    def _weighted_box_losses(self, codes: Tensor, matches: Matches) -> dict[str, Tensor]:
        """(M,) losses by name: of the boxes, and of the distributions of their sides if any."""
        losses = {"loss/box": self.box_loss.weight * self._box_losses(codes, matches)}
        loss, coder = self.distribution_loss, self.box_coder
        if loss is not None and isinstance(coder, DistributionCoder):
            distances = coder.distances(matches.boxes, matches.priors)
            losses["loss/distribution"] = loss.weight * matches.rows.losses(loss, codes, distances)
        return losses

    def _box_losses(self, codes: Tensor, matches: Matches) -> Tensor:
        priors, boxes = matches.priors, matches.boxes
        if self.box_loss.space == "boxes":
            decoded = self.box_coder.decode(codes, priors)
            return matches.rows.losses(self.box_loss, decoded, boxes)
        return matches.rows.losses(self.box_loss, codes, self.box_coder.encode(boxes, priors))

    def scores_of(self, predictions: DensePredictions) -> Tensor:
        """(B, P, C) scores of the classes, with the quality if the head has one."""
        scores = class_scores(predictions.class_logits, self.classification_loss.activation)
        if predictions.quality is None or self.quality_target is None:
            return scores
        quality = quality_scores(predictions.quality, self.quality_loss)
        return (scores * quality) ** self.quality_target.score_exponent
