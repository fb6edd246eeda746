"""The one procedure of every dense head: predict at priors, assign, weigh losses, or detect."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from detkit.heads.counting import count_ahead, has_one_divisor
from detkit.heads.matches import Matches, rows_of_objects, soft_targets, with_images
from detkit.interfaces import (
    Assigner,
    BoxCoder,
    BoxLoss,
    ClassificationLoss,
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
    class_scores,
    clip_boxes,
    highest_overlaps,
    mark_ignored,
    require_comparable,
    select_candidates,
)
from detkit.structures import (
    BACKGROUND,
    IGNORED,
    Assignment,
    DensePredictions,
    Detections,
    Priors,
    Target,
)


class DenseHead(nn.Module):
    """Layers and the parts that give their outputs a meaning. M counts positive priors.

    Args:
        layers: The trainable part.
        priors: Where the layers predict.
        box_coder: What their box codes mean.
        assigner: Which prior is responsible for which object.
        sampler: Which priors count in the loss.
        classification_loss: Also says how logits become scores.
        box_loss: Compares boxes or codes, by its `space`.
        quality_target: What the quality branch learns; None without one.
        quality_loss: Loss of the quality branch; None without one.
        postprocess: Candidates to detections.
        score_exponent: The score is (class * quality) to this power, where there is a quality.
        weigh_boxes_by_quality: Whether the box loss is a mean weighted by the quality targets.
        empty_image: What an image without objects adds to the positives that divide the losses.
        per_image: Divide all losses by the images times this, not by the positives.
    """

    def __init__(
        self,
        *,
        layers: HeadLayers,
        priors: PriorGenerator,
        box_coder: BoxCoder,
        assigner: Assigner,
        sampler: Sampler,
        classification_loss: ClassificationLoss,
        box_loss: BoxLoss,
        quality_target: QualityTarget | None = None,
        quality_loss: ClassificationLoss | None,
        postprocess: Postprocess,
        score_exponent: float = 1.0,
        weigh_boxes_by_quality: bool = False,
        empty_image: float = 0.0,
        per_image: float | None = None,
    ) -> None:
        """Take parts that are already built."""
        super().__init__()
        if quality_loss is not None and quality_target is None:
            raise ValueError("a head with a quality loss needs a quality target: pass one.")
        require_comparable(box_loss.space, box_coder.code_size)
        self.layers = layers
        self.priors = priors
        self.box_coder = box_coder
        self.assigner = assigner
        self.sampler = sampler
        self.classification_loss = classification_loss
        self.box_loss = box_loss
        self.quality_target = quality_target
        self.quality_loss = quality_loss
        self.postprocess = postprocess
        self.score_exponent = score_exponent
        self.weigh_boxes_by_quality = weigh_boxes_by_quality
        self.empty_image = empty_image
        self.per_image = per_image
        self.divisors, self.has_one_divisor = Divisors(), has_one_divisor(self)
        self._objectness = quality_target is not None and quality_target.learns_background

    def forward(self, features: list[Tensor]) -> DensePredictions:
        """Raw predictions of all levels, in the order of the priors."""
        return self.layers(features)

    def loss(self, features: list[Tensor], targets: list[Target]) -> Losses:
        """The weighted and normalised losses of a batch, in float32.

        Without any object all are finite and give every parameter a gradient (zero, for boxes).
        """
        predictions, priors = self._predict_at_priors(features)
        with torch.autocast(features[0].device.type, enabled=False):
            return self._losses(predictions, priors, targets)

    @torch.no_grad()
    def predict(self, features: list[Tensor], image_sizes: Sizes) -> list[Detections]:
        """The detections of each image, best first, inside (height, width) of the image."""
        predictions, priors = self._predict_at_priors(features)
        with torch.autocast(features[0].device.type, enabled=False):
            scores = self._scores(predictions)  # (B, P, C)
            return [
                self._detect(scores[image], predictions.box_codes[image], priors, size)
                for image, size in enumerate(image_sizes)
            ]

    @torch.no_grad()
    def assign(self, features: list[Tensor], targets: list[Target]) -> tuple[Priors, Tensor]:
        """The priors, and the object of each (B, P) as the loss would have it; to look at."""
        predictions, priors = self._predict_at_priors(features)
        objects = [target.select(~target.ignored) for target in targets]
        return priors, self._assign(predictions, priors, targets, objects).matched

    def count(self, sizes: Sizes, targets: list[Target]) -> Tensor | None:
        """The (3,) divisors of a batch, for maps of these sizes; see CountingHead."""
        counted = count_ahead(self, sizes, targets)
        return None if counted is None else counted.divisors

    def _predict_at_priors(self, features: list[Tensor]) -> tuple[DensePredictions, Priors]:
        """Predictions in float32, whatever the layers ran in, and the priors they belong to."""
        logits, codes, quality = self.layers(features)
        sizes = [(level.shape[-2], level.shape[-1]) for level in features]
        priors = self.priors(sizes, features[0].device)
        if len(priors.boxes) != logits.shape[1]:
            raise ValueError(
                f"the head's layers predict at {logits.shape[1]} places and there are "
                f"{len(priors.boxes)} priors for feature maps {sizes}: layers must use `per_cell` "
                "of the priors."
            )
        quality = None if quality is None else quality.float()
        return DensePredictions(logits.float(), codes.float(), quality), priors

    def _losses(
        self, predictions: DensePredictions, priors: Priors, targets: list[Target]
    ) -> Losses:
        objects = [target.select(~target.ignored) for target in targets]
        matched, scores = self._assign(predictions, priors, targets, objects)  # (B, P) each
        rows = rows_of_objects(matched, objects)  # (B, P)
        labels = torch.cat([*(t.labels for t in objects), matched.new_full((1,), BACKGROUND)])[rows]
        without_class = matched < 0 if self._objectness else matched == IGNORED
        labels = torch.where(without_class, IGNORED, labels)
        values = torch.zeros_like(matched, dtype=torch.float32)
        if self.sampler.ranks_by != "nothing":
            values = self._values(predictions, priors, Assignment(matched, scores), labels, objects)
        counted = self.sampler(matched, values)  # (B, P) bool
        labels = torch.where(counted, labels, IGNORED)
        logits = predictions.class_logits.flatten(0, 1)
        soft = None if scores is None else scores.flatten()
        class_losses = self.classification_loss(logits, labels.flatten(), soft).view_as(labels)
        positive = counted & (matched >= 0)
        image, prior = positive.nonzero(as_tuple=True)
        learning = counted if self._objectness else positive
        matches = Matches(
            priors=Priors(*(field[prior] for field in priors)),
            codes=predictions.box_codes[image, prior],
            quality=None if predictions.quality is None else predictions.quality[learning],
            quality_labels=matched[learning].clamp(max=0),
            boxes=torch.cat([target.boxes for target in objects])[rows[image, prior]],
            weights=(torch.ones_like(logits[:, 0]) if soft is None else soft)[positive.flatten()],
            counted=counted.sum(),
            empty=self.empty_image * (counted.any(dim=1) & ~positive.any(dim=1)).sum(),
            cells=len(priors.level) * sum(self.priors.per_cell) / priors.stride.square().sum(),
        )
        class_loss = torch.where(labels == IGNORED, 0, class_losses).sum()
        return self._normalised(class_loss, matches, predictions)

    def _normalised(
        self, class_loss: Tensor, matches: Matches, predictions: DensePredictions
    ) -> Losses:
        """Weighted sums over the batch, divided by the counts of all ranks.

        The counts are the positives, the shares of the box loss, and the positives or, for an
        objectness, the cells.
        """
        quality_target = self._quality_targets(matches)  # (M,)
        shares = matches.weights * (quality_target if self.weigh_boxes_by_quality else 1)  # (M,)
        counts = torch.stack([total := matches.weights.sum(), shares.sum(), total]) + matches.empty
        if self._objectness or self.per_image is not None:
            counts = with_images(counts, matches.cells, len(predictions.box_codes), self.per_image)
        class_divisor, box_divisor, quality_divisor = self.divisors(counts)
        divisor = 1 if self.classification_loss.normalised else class_divisor
        losses = {"loss/classification": self.classification_loss.weight * class_loss / divisor}
        without_positives = 0 * predictions.box_codes[:, 0].sum()  # else ranks wait for a gradient
        for name, box_losses in self._box_losses_by_name(matches).items():
            losses[name] = ((shares * box_losses).sum() + without_positives) / box_divisor
        if self.quality_loss and predictions.quality is not None and matches.quality is not None:
            labels = matches.quality_labels
            scores = torch.zeros_like(matches.quality).masked_scatter(labels == 0, quality_target)
            quality_loss = self._quality_losses(matches.quality, labels, scores).sum()
            quality_loss = quality_loss + 0 * predictions.quality[:, 0].sum()
            divisor = 1 if self.quality_loss.normalised else quality_divisor
            losses["loss/quality"] = self.quality_loss.weight * quality_loss / divisor
        return losses

    @torch.no_grad()
    def _assign(
        self,
        predictions: DensePredictions,
        priors: Priors,
        targets: list[Target],
        objects: list[Target],
    ) -> Assignment:
        """The object of each prior: its index among the image's objects that count, (B, P)."""
        scores: Tensor | None = None
        boxes: Tensor | None = None
        if self.assigner.uses_predictions:
            scores = class_scores(predictions.class_logits, self.classification_loss.activation)
            if self._objectness and predictions.quality is not None:
                scores = scores * predictions.quality.sigmoid()[..., None]  # YOLOX: its root
            boxes = self.box_coder.decode(predictions.box_codes, priors)
        assignments, matched = [], []
        for image, (target, countable) in enumerate(zip(targets, objects, strict=True)):
            image_scores = None if scores is None else scores[image]
            image_boxes = None if boxes is None else boxes[image]
            assignment = self.assigner(priors, image_scores, image_boxes, countable)
            assignments.append(assignment)
            matched.append(mark_ignored(assignment.matched, priors, target))
        return Assignment(torch.stack(matched), soft_targets(assignments, priors))

    def _box_losses_by_name(self, matches: Matches) -> dict[str, Tensor]:
        """(M,) each, weighted: what boxes learn by, to which a head with more losses adds."""
        return {"loss/box": self.box_loss.weight * self._box_losses(matches)}

    def _box_losses(self, matches: Matches) -> Tensor:
        codes, priors, boxes = matches.codes, matches.priors, matches.boxes
        if self.box_loss.space == "boxes":
            return self.box_loss(self.box_coder.decode(codes, priors), boxes)
        return self.box_loss(codes, self.box_coder.encode(boxes, priors))

    @torch.no_grad()
    def _quality_targets(self, matches: Matches) -> Tensor:
        """(M,) what the quality branch should say of the positives."""
        if self.quality_target is None:
            return torch.ones_like(matches.boxes[:, 0])
        predicted = self.box_coder.decode(matches.codes, matches.priors)
        return self.quality_target(matches.priors, matches.boxes, predicted)

    def _quality_losses(self, logits: Tensor, labels: Tensor, scores: Tensor | None) -> Tensor:
        """(N,) losses of logits (N,) that answer one question: "well placed?", "an object?"."""
        if self.quality_loss is None:
            return torch.zeros_like(logits)
        rows = logits[:, None]  # (N, 1)
        if self.quality_loss.activation == "softmax":  # which needs a logit of background, so that
            rows = torch.cat([rows, torch.zeros_like(rows)], dim=1)  # softmax is a sigmoid
        return self.quality_loss(rows, labels, scores)

    @torch.no_grad()
    def _values(
        self,
        predictions: DensePredictions,
        priors: Priors,
        assignment: Assignment,
        labels: Tensor,
        objects: list[Target],
    ) -> Tensor:
        """(B, P) by what the sampler ranks: losses are of quality, where that learns background."""
        if self.sampler.ranks_by == "overlaps":
            return torch.stack([highest_overlaps(priors.boxes, each.boxes) for each in objects])
        if self._objectness and predictions.quality is not None:
            asked = assignment.matched.clamp(max=0).flatten()
            return self._quality_losses(predictions.quality.flatten(), asked, None).view_as(labels)
        logits, soft = predictions.class_logits.flatten(0, 1), assignment.scores
        soft = None if soft is None else soft.flatten()
        return self.classification_loss(logits, labels.flatten(), soft).view_as(labels)

    def _scores(self, predictions: DensePredictions) -> Tensor:
        scores = class_scores(predictions.class_logits, self.classification_loss.activation)
        if predictions.quality is None:
            return scores
        return (scores * predictions.quality.sigmoid()[..., None]) ** self.score_exponent

    def _detect(
        self, scores: Tensor, codes: Tensor, priors: Priors, size: tuple[int, int]
    ) -> Detections:
        candidates = select_candidates(
            scores, priors.level, self.postprocess.score_threshold, self.postprocess.max_candidates
        )
        chosen = Priors(*(field[candidates.prior] for field in priors))
        boxes = self.box_coder.decode(codes[candidates.prior], chosen)
        return self.postprocess(clip_boxes(boxes, size), candidates.score, candidates.label)
