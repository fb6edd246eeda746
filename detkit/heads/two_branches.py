"""A dense head with two branches on the same layers: one on anchors, one free of anchors."""

from __future__ import annotations

from functools import partial
from typing import Annotated, NamedTuple

import torch
from torch import Tensor, nn

from detkit.errors import UserError
from detkit.heads.dense import DenseHead
from detkit.heads.towers import same_on_all_levels
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
from detkit.ops import clip_boxes
from detkit.registry import NonNegativeFloat, Slot, register
from detkit.structures import DensePredictions, PaddedDetections, PaddedTargets, Priors

_HALF = {"weight": 0.5}
_LOG = {"mode": "log", "weight": 0.5}
_DISTANCE = {"activation": "exp", "unit": 4.0}


class _Branch(NamedTuple):
    """A branch with its predictions in float32, and the priors they belong to."""

    head: DenseHead
    predictions: DensePredictions
    priors: Priors


class _BranchLayers:
    """The outputs of one branch among those of shared layers.

    It is no module, so that the layers have one owner, the head of both branches.
    """

    def __init__(self, layers: HeadLayers, priors: _JointPriors, branch: int) -> None:
        """Take the shared layers, the priors they predict for, and the branch: 0 or 1."""
        self._layers = layers
        self._per_cell = priors.in_cell
        self._selection = priors.slices[branch]

    def __call__(self, features: list[Tensor]) -> DensePredictions:
        return self.select(self._layers(features))

    def select(self, outputs: DensePredictions) -> DensePredictions:
        """The outputs of this branch."""
        logits, codes = (self._rows(values) for values in outputs[:2])
        return DensePredictions(logits, codes, None)

    def _rows(self, values: Tensor) -> Tensor:
        """(B, cells * per_cell, D) to the rows (B, P, D) of this branch."""
        images, _, width = values.shape
        cells = values.reshape(images, -1, self._per_cell, width)
        return cells[:, :, self._selection].flatten(1, 2)


class _JointPriors:
    """The priors of the first branch, then those of the second.

    Attributes:
        per_cell: Priors of both branches in a cell, for each level.
        in_cell: The same number, which all levels share.
        slices: The first and the second branch's priors among those of a cell.
    """

    def __init__(self, first: PriorGenerator, second: PriorGenerator) -> None:
        self._generators = (first, second)
        self.per_cell = [
            sum(counts) for counts in zip(first.per_cell, second.per_cell, strict=True)
        ]
        self.in_cell = same_on_all_levels(self.per_cell, "priors per cell")
        anchors = same_on_all_levels(first.per_cell, "anchors per cell")
        self.slices = (slice(anchors), slice(anchors, None))

    def __call__(self, sizes: Sizes, device: torch.device) -> Priors:
        first, second = (generator(sizes, device) for generator in self._generators)
        pairs = zip(first[:3], second[:3], strict=True)
        boxes, stride, level = (torch.cat(pair) for pair in pairs)
        return Priors(boxes, stride, level)


@register("head", "two_branches")
class TwoBranchHead(nn.Module):
    """An anchor-based and an anchor-free branch, trained and used together: RetinaNet with FSAF.

    In each cell, the layers predict for the priors of the first branch, then for those of the
    second; so both share all convolutions but the last ones. Each branch assigns all objects by its
    own rule, and divides its losses by its own positives. The candidates of both are suppressed
    together.

    Paper: Feature Selective Anchor-Free Module for Single-Shot Object Detection (Zhu et al., 2019),
        https://arxiv.org/abs/1903.00621

    Args:
        priors: Anchors of the first branch.
        box_coder: Converts boxes to codes and back, in the first branch.
        assigner: Assigns objects to anchors.
        sampler: Selects the priors of a branch that count in its losses.
        classification_loss: Loss of the first branch's class scores.
        box_loss: Loss of the first branch's boxes.
        free_priors: Points of the anchor-free branch.
        free_box_coder: Converts boxes to codes and back, in the anchor-free branch.
        free_assigner: Assigns objects to points.
        free_classification_loss: Loss of the anchor-free branch's class scores.
        free_box_loss: Loss of the anchor-free branch's boxes.
        layers: The trainable part, for both branches.
        postprocess: Turns the candidates of both branches into detections.
        empty_image: Number of positives that an image without objects adds to the divisor of the
            losses of a branch, so that it does not outweigh others.
    """

    def __init__(
        self,
        *,
        priors: Annotated[PriorGenerator, Slot("priors", "anchors")],
        box_coder: Annotated[BoxCoder, Slot("box_coder", "delta")],
        assigner: Annotated[Assigner, Slot("assigner", "max_iou")],
        sampler: Annotated[Sampler, Slot("sampler", "keep_all")],
        classification_loss: Annotated[
            ClassificationLoss, Slot("loss", "focal", space=("classes",))
        ],
        box_loss: Annotated[BoxLoss, Slot("loss", "l1", space=("boxes", "codes"))],
        free_priors: Annotated[PriorGenerator, Slot("priors", "points")],
        free_box_coder: Annotated[BoxCoder, Slot("box_coder", "distance", _DISTANCE)],
        free_assigner: Annotated[Assigner, Slot("assigner", "feature_selection")],
        free_classification_loss: Annotated[
            ClassificationLoss, Slot("loss", "focal", _HALF, ("classes",))
        ],
        free_box_loss: Annotated[BoxLoss, Slot("loss", "iou", _LOG, ("boxes", "codes"))],
        layers: Annotated[HeadLayers, Slot("layers", "towers")],
        postprocess: Annotated[Postprocess, Slot("postprocess", "nms")],
        empty_image: NonNegativeFloat = 0.0,
    ) -> None:
        super().__init__()
        self.layers = layers
        self.priors = _JointPriors(priors, free_priors)
        self.classification_loss = classification_loss
        self.postprocess = postprocess
        self._outputs = [_BranchLayers(layers, self.priors, branch) for branch in (0, 1)]
        branch = partial(
            DenseHead, sampler=sampler, postprocess=postprocess, empty_image=empty_image
        )
        self.anchored = branch(
            layers=self._outputs[0],
            priors=priors,
            box_coder=box_coder,
            assigner=assigner,
            classification_loss=classification_loss,
            box_loss=box_loss,
        )
        self.free = branch(
            layers=self._outputs[1],
            priors=free_priors,
            box_coder=free_box_coder,
            assigner=free_assigner,
            classification_loss=free_classification_loss,
            box_loss=free_box_loss,
        )
        _require_common_layers(self.anchored, self.free)

    def forward(self, features: list[Tensor]) -> DensePredictions:
        """Raw predictions in the order level, row, column, prior; in a cell, anchors come first."""
        return self.layers(features)

    def loss(self, features: list[Tensor], targets: PaddedTargets) -> Losses:
        """The weighted and normalised losses of a batch, in float32.

        Those of the anchor-free branch are named `loss/free_...`.
        """
        anchored, free = self._branches(features)
        with torch.autocast(features[0].device.type, enabled=False):
            losses = anchored.head.losses_at(anchored.predictions, anchored.priors, targets)
            free_losses = free.head.losses_at(free.predictions, free.priors, targets)
        return losses | {key.replace("/", "/free_"): loss for key, loss in free_losses.items()}

    @torch.no_grad()
    def predict(self, features: list[Tensor], image_sizes: Tensor) -> PaddedDetections:
        """The detections of each image, best first, inside its (height, width) (B, 2)."""
        branches = self._branches(features)
        with torch.autocast(features[0].device.type, enabled=False):
            candidates = [
                head.candidates_at(predictions, priors, image_sizes)
                for head, predictions, priors in branches
            ]
            boxes, scores, labels = (
                torch.cat(values, dim=1) for values in zip(*candidates, strict=True)
            )
            return self.postprocess(boxes, scores, labels)

    @torch.no_grad()
    def boxes_and_scores(
        self, features: list[Tensor], image_sizes: Tensor
    ) -> tuple[Tensor, Tensor]:
        """All boxes (B, P, 4), inside their image, and scores (B, P, C), without suppression."""
        branches = self._branches(features)
        with torch.autocast(features[0].device.type, enabled=False):
            boxes = [
                head.box_coder.decode(predictions.box_codes, priors)
                for head, predictions, priors in branches
            ]
            scores = [head.scores_of(predictions) for head, predictions, _ in branches]
            together = clip_boxes(torch.cat(boxes, dim=1), image_sizes[:, None])
            return together, torch.cat(scores, dim=1)

    @torch.no_grad()
    def assign(self, features: list[Tensor], targets: PaddedTargets) -> tuple[Priors, Tensor]:
        """The priors, those of the first branch first, and the object (B, P) of each."""
        branches = self._branches(features)
        matched = [
            head.assignment(predictions, priors, targets).matched
            for head, predictions, priors in branches
        ]
        sizes = [(level.shape[-2], level.shape[-1]) for level in features]
        return self.priors(sizes, features[0].device), torch.cat(matched, dim=1)

    def _branches(self, features: list[Tensor]) -> tuple[_Branch, _Branch]:
        """Run the layers once, and divide what they predict."""
        outputs = self.layers(features)
        cells = sum(level.shape[-2] * level.shape[-1] for level in features)
        count, in_cell = outputs.class_logits.shape[1], self.priors.in_cell
        if count != cells * in_cell:
            raise UserError(
                f"layers {type(self.layers).__name__} predict for {count} priors, but both "
                f"branches have {cells * in_cell}, {in_cell} in each cell: choose layers that take "
                "any number of priors per cell, such as towers or ssd."
            )
        anchored, free = (
            _Branch(head, *head.predict_at_priors(features, branch.select(outputs)))
            for head, branch in zip((self.anchored, self.free), self._outputs, strict=True)
        )
        return anchored, free


def _require_common_layers(anchored: DenseHead, free: DenseHead) -> None:
    """Raise UserError if the branches need different outputs of the layers that they share."""
    codes = [branch.box_coder.code_size for branch in (anchored, free)]
    activations = [branch.classification_loss.activation for branch in (anchored, free)]
    for slot, meaning, (first, second) in (
        ("box_coder", "values per code", map(str, codes)),
        ("classification_loss", "activation", activations),
    ):
        if first != second:
            raise UserError(
                f"both branches share their layers, so {slot} and free_{slot} need the same "
                f"{meaning}, got {first} and {second}: change one of them."
            )
