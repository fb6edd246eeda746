"""The procedure of set-prediction heads: match queries one to one with objects; no suppression."""

from __future__ import annotations

from typing import Annotated, ClassVar, NamedTuple

import torch
from torch import Tensor, nn

from detkit.errors import UserError
from detkit.heads.query_layers import QueryLayers, SetPredictions
from detkit.interfaces import Assigner, BoxLoss, ClassificationLoss, Losses, Postprocess, Sizes
from detkit.layers.transformer import Transformer
from detkit.ops import Divisors, class_scores, clip_boxes, require_padded, select_candidates
from detkit.ops.rows import take_rows
from detkit.ops.scores import logits_for
from detkit.registry import Fraction, NonNegativeInt, PositiveInt, Slot, Wired, register
from detkit.structures import (
    BACKGROUND,
    DensePredictions,
    FeatureSpec,
    PaddedDetections,
    PaddedTargets,
    Priors,
)


class _Matches(NamedTuple):
    """The object of each query after each of L decoder layers.

    Attributes:
        matched: (L, B, Q) as in Assignment.
        labels: (L, B, Q) class of the object, or BACKGROUND.
        boxes: (L, B, Q, 4) box of the object; the whole image for a query without one.
    """

    matched: Tensor
    labels: Tensor
    boxes: Tensor


@register("head", "set_prediction")
class SetPredictionHead(nn.Module):
    """Learned queries look for objects with a transformer: DETR.

    Each object has one query in training, so that nothing has to be suppressed later. The losses
    after every decoder layer but the last add up to `loss/auxiliary`. Ignored objects are left out.
    All losses have divisors of all ranks: the objects for boxes, and the sum of the weights of the
    queries for a softmax loss, which the paper's code sums over one rank only; a sigmoid loss is
    divided by the objects.

    Paper: End-to-End Object Detection with Transformers (Carion et al., 2020),
        https://arxiv.org/abs/2005.12872

    Args:
        assigner: Matches predictions and objects; must use predictions.
        classification_loss: Loss of the class scores; also defines how logits become scores.
        code_loss: Loss of the centres and sides as shares of the image.
        box_loss: Loss of the boxes in pixels.
        postprocess: Turns candidates into detections.
        queries: Number of predictions per image; more than the objects of any image.
        width: Channels of the transformer, a multiple of 4 and of `attention_heads`.
        encoder_layers: Layers of self-attention over the image's cells.
        decoder_layers: Layers of attention from the queries to the image.
        attention_heads: Heads of each attention.
        feed_forward: Hidden units of each feed-forward block.
        dropout: Probability of dropping a value after each block.
        background_weight: Weight of queries without an object in the class loss.
    """

    gradient_clip_norm: ClassVar = 0.1  # of the paper's code
    has_one_divisor: ClassVar = False

    def __init__(
        self,
        *,
        feature_specs: Wired[list[FeatureSpec]],
        num_classes: Wired[int],
        assigner: Annotated[Assigner, Slot("assigner", "hungarian")],
        classification_loss: Annotated[
            ClassificationLoss, Slot("loss", "cross_entropy", space=("classes",))
        ],
        code_loss: Annotated[BoxLoss, Slot("loss", "l1", {"weight": 5.0}, space=("codes",))],
        box_loss: Annotated[BoxLoss, Slot("loss", "giou", {"weight": 2.0}, space=("boxes",))],
        postprocess: Annotated[Postprocess, Slot("postprocess", "none")],
        queries: PositiveInt = 100,
        width: PositiveInt = 256,
        encoder_layers: NonNegativeInt = 6,
        decoder_layers: PositiveInt = 6,
        attention_heads: PositiveInt = 8,
        feed_forward: PositiveInt = 2048,
        dropout: Fraction = 0.1,
        background_weight: Fraction = 0.1,
    ) -> None:
        super().__init__()
        require_padded(postprocess)
        _require_predictions(assigner)
        _require_width(width, attention_heads)
        transformer = Transformer(
            width,
            encoders=encoder_layers,
            decoders=decoder_layers,
            heads=attention_heads,
            hidden=feed_forward,
            dropout=dropout,
        )
        logits = logits_for(num_classes, classification_loss.activation)
        self._is_softmax = logits > num_classes
        self.layers = QueryLayers(
            feature_specs,
            transformer=transformer,
            queries=queries,
            width=width,
            logits=logits,
        )
        self.assigner = assigner
        self.classification_loss = classification_loss
        self.code_loss = code_loss
        self.box_loss = box_loss
        self.postprocess = postprocess
        self.queries = queries
        self.background_weight = background_weight
        self.divisors = Divisors()

    def forward(self, features: list[Tensor]) -> DensePredictions:
        """Class logits and normalised boxes (centre, sides) of the queries, without padding."""
        logits, boxes = self.layers(features, None)
        return DensePredictions(logits[-1], boxes[-1], None)

    def loss(self, features: list[Tensor], targets: PaddedTargets) -> Losses:
        """The weighted and normalised losses of a batch, in float32.

        Images fill the whole batch where `targets.image_sizes` is None.
        """
        sizes = self._sizes(features, targets)
        predictions = self._predict(features, sizes)
        with torch.autocast(features[0].device.type, enabled=False):
            matches = self._match(predictions, sizes, targets)
            return self._losses(predictions, matches, sizes)

    @torch.no_grad()
    def predict(self, features: list[Tensor], image_sizes: Tensor) -> PaddedDetections:
        """The detections of each image, best first, inside its (height, width) (B, 2)."""
        boxes, scores = self.boxes_and_scores(features, image_sizes)
        if self._is_softmax:  # a query is one object, so only its best class is a candidate
            scores = scores * (scores == scores.amax(dim=-1, keepdim=True))
        best = select_candidates(
            scores, (), self.postprocess.score_threshold, self.postprocess.max_candidates
        )
        return self.postprocess(take_rows(boxes, best.prior), best.score, best.label)

    @torch.no_grad()
    def boxes_and_scores(
        self, features: list[Tensor], image_sizes: Tensor
    ) -> tuple[Tensor, Tensor]:
        """All boxes (B, Q, 4), inside their image, and scores (B, Q, C)."""
        predictions = self._predict(features, image_sizes).last()
        with torch.autocast(features[0].device.type, enabled=False):
            boxes = boxes_in_pixels(predictions.boxes_normalised[0], image_sizes)
            return clip_boxes(boxes, image_sizes[:, None]), self._scores(predictions)[0]

    @torch.no_grad()
    def assign(self, features: list[Tensor], targets: PaddedTargets) -> tuple[Priors, Tensor]:
        """The box that each query predicts (B, Q, 4), and the object (B, Q) it takes."""
        sizes = self._sizes(features, targets)
        predictions = self._predict(features, sizes).last()
        matched = self._match(predictions, sizes, targets).matched[0]
        boxes = boxes_in_pixels(predictions.boxes_normalised[0], sizes)
        return _queries_as_priors(boxes, self.layers.strides[-1]), matched

    def count(self, sizes: Sizes, targets: PaddedTargets) -> Tensor:
        """The (3,) divisors of a batch; they do not depend on the feature maps' sizes."""
        del sizes
        positive = targets.mask.sum(dim=1).clamp(max=self.queries).sum()
        return self._counts(positive, len(targets.mask) * self.queries)

    def _counts(self, positive: Tensor, queries: int) -> Tensor:
        """Divisors of the class, code and box losses."""
        background = queries - positive
        weights = positive + self.background_weight * background if self._is_softmax else positive
        return torch.stack([weights.float(), positive.float(), positive.float()])

    def _sizes(self, features: list[Tensor], targets: PaddedTargets) -> Tensor:
        """(B, 2) height and width of the images, or of what the feature maps cover."""
        if targets.image_sizes is not None:
            return targets.image_sizes
        size = [side * self.layers.strides[0] for side in features[0].shape[-2:]]
        return targets.boxes.new_tensor(size).expand(len(targets.boxes), 2)

    def _predict(self, features: list[Tensor], sizes: Tensor) -> SetPredictions:
        """Predictions in float32, whatever the layers ran in."""
        return SetPredictions(*(values.float() for values in self.layers(features, sizes)))

    @torch.no_grad()
    def _match(
        self, predictions: SetPredictions, sizes: Tensor, targets: PaddedTargets
    ) -> _Matches:
        """Match all layers at once, as if each were a batch of its own."""
        layers, images, queries = predictions.class_logits.shape[:3]
        images_as_boxes = torch.cat([torch.zeros_like(sizes), sizes.flip(-1)], dim=-1)
        images_as_boxes = images_as_boxes.repeat(layers, 1)[:, None].expand(-1, queries, -1)
        stacked = PaddedTargets(
            boxes=targets.boxes.repeat(layers, 1, 1),
            labels=targets.labels.repeat(layers, 1),
            mask=targets.mask.repeat(layers, 1),
            ignored_boxes=targets.ignored_boxes.repeat(layers, 1, 1),
            ignored_mask=targets.ignored_mask.repeat(layers, 1),
            counts=targets.counts * layers,
        )
        boxes = boxes_in_pixels(predictions.boxes_normalised, sizes)
        matched, _ = self.assigner(
            _queries_as_priors(images_as_boxes, self.layers.strides[-1]),
            self._scores(predictions).flatten(0, 1),
            boxes.flatten(0, 1),
            stacked,
        )  # (layers * B, Q)
        objects = matched.clamp(min=0)
        positive = matched >= 0
        labels = torch.where(positive, stacked.labels.gather(1, objects), BACKGROUND)
        objects_boxes = take_rows(stacked.boxes, objects)
        objects_boxes = torch.where(positive[..., None], objects_boxes, images_as_boxes)
        shape = (layers, images, queries)
        return _Matches(matched.view(shape), labels.view(shape), objects_boxes.view(*shape, 4))

    def _losses(self, predictions: SetPredictions, matches: _Matches, sizes: Tensor) -> Losses:
        positive = matches.matched >= 0  # (L, B, Q)
        logits = predictions.class_logits.flatten(0, 2)
        class_losses = self.classification_loss(logits, matches.labels.flatten())
        weights = torch.where(positive, 1.0, self.background_weight if self._is_softmax else 1.0)
        boxes = boxes_in_pixels(predictions.boxes_normalised, sizes)
        values = {
            "loss/classification": (
                self.classification_loss.weight,
                class_losses.view_as(weights) * weights,
            ),
            "loss/code": (
                self.code_loss.weight,
                self.code_loss(
                    predictions.boxes_normalised.flatten(0, 2),
                    normalised_boxes(matches.boxes, sizes).flatten(0, 2),
                ).view_as(weights)
                * positive,
            ),
            "loss/box": (
                self.box_loss.weight,
                self.box_loss(boxes.flatten(0, 2), matches.boxes.flatten(0, 2)).view_as(weights)
                * positive,
            ),
        }
        divisors = self.divisors(self._counts(positive[-1].sum(), positive[-1].numel()))
        by_layer = {
            name: weight * losses.sum(dim=(1, 2)) / divisor
            for (name, (weight, losses)), divisor in zip(values.items(), divisors, strict=True)
        }  # (L,) each
        losses = {name: value[-1] for name, value in by_layer.items()}
        if len(positive) > 1:
            losses["loss/auxiliary"] = torch.stack([v[:-1].sum() for v in by_layer.values()]).sum()
        return losses

    def _scores(self, predictions: SetPredictions) -> Tensor:
        return class_scores(predictions.class_logits, self.classification_loss.activation)


def boxes_in_pixels(boxes_normalised: Tensor, sizes: Tensor) -> Tensor:
    """Centre and sides as shares (..., B, Q, 4) of images (B, 2) to xyxy in pixels."""
    centres, sides = boxes_normalised[..., :2], boxes_normalised[..., 2:]
    extent = sizes.flip(-1)[:, None]  # width, height
    return torch.cat([(centres - sides / 2) * extent, (centres + sides / 2) * extent], dim=-1)


def normalised_boxes(boxes: Tensor, sizes: Tensor) -> Tensor:
    """Boxes in pixels (..., B, Q, 4) to centre and sides as shares of images (B, 2)."""
    low, high = boxes[..., :2], boxes[..., 2:]
    extent = sizes.flip(-1)[:, None]
    return torch.cat([(low + high) / 2 / extent, (high - low) / extent], dim=-1)


def _queries_as_priors(boxes: Tensor, stride: int) -> Priors:
    """Priors with a box (B, Q, 4) for each query of each image."""
    strides = torch.full_like(boxes[..., 0], stride)
    return Priors(boxes, strides, torch.zeros_like(strides, dtype=torch.int64), (boxes.shape[1],))


def _require_predictions(assigner: Assigner) -> None:
    if not assigner.uses_predictions:
        raise UserError(
            f"assigner {type(assigner).__name__} compares objects with priors, and queries have "
            "none: choose one that uses predictions, such as assigner 'hungarian'."
        )


def _require_width(width: int, heads: int) -> None:
    if width % heads or width % 4:
        raise UserError(
            f"width {width} must be a multiple of 4 and of attention_heads {heads}: change one "
            "of them."
        )
