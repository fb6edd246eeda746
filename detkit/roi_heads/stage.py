"""One look at the regions: what they hold, and where exactly. A roi head has one stage or several.

M counts regions over all images, C classes, K class logits, D the boxes of a region: one for each
class, or one for all.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from detkit.interfaces import (
    Assigner,
    BoxCoder,
    BoxHead,
    BoxLoss,
    ClassificationLoss,
    Losses,
    Pooling,
    Sampler,
)
from detkit.ops import (
    Divisors,
    class_scores,
    highest_overlaps,
    mark_ignored,
    require_comparable,
)
from detkit.roi_heads.regions import Regions, Sampled, as_priors, join, look_up, pad
from detkit.structures import IGNORED, Priors, Target


class Outputs(NamedTuple):
    """What the layers say of M regions, in float32.

    Attributes:
        logits: (M, K).
        codes: (M, D, code_size).
    """

    logits: Tensor
    codes: Tensor


class Stage(nn.Module):
    """Pooling, a box head and two last layers, with the parts that give them a meaning."""

    def __init__(
        self,
        *,
        num_classes: int,
        class_agnostic: bool,
        pooling: Pooling,
        box_head: BoxHead,
        assigner: Assigner,
        sampler: Sampler,
        box_coder: BoxCoder,
        classification_loss: ClassificationLoss,
        box_loss: BoxLoss,
    ) -> None:
        """Take parts that are already built.

        Args:
            num_classes: C.
            class_agnostic: Whether a region has one box, not one for each class.
            pooling: Levels and regions to small maps.
            box_head: Small maps to features.
            assigner: Which region is responsible for which object.
            sampler: Which regions count in the loss.
            box_coder: What box codes mean, relative to the region.
            classification_loss: Also says how logits become scores.
            box_loss: Compares boxes or codes, by its `space`.
        """
        super().__init__()
        require_comparable(box_loss.space, box_coder.code_size)
        self.pooling = pooling
        self.box_head = box_head
        self.assigner = assigner
        self.sampler = sampler
        self.box_coder = box_coder
        self.classification_loss = classification_loss
        self.box_loss = box_loss
        self.divisors = Divisors()
        logits = num_classes + (classification_loss.activation == "softmax")
        self._boxes_each = 1 if class_agnostic else num_classes
        self.class_layer = nn.Linear(box_head.out_channels, logits)
        # Rows in the order code, class: as everywhere, classes are the inner axis.
        self.box_layer = nn.Linear(box_head.out_channels, box_coder.code_size * self._boxes_each)
        for layer, std in ((self.class_layer, 0.01), (self.box_layer, 0.001)):
            nn.init.normal_(layer.weight, std=std)  # Fast R-CNN (Girshick, 2015), section 2.3
            nn.init.zeros_(layer.bias)

    def forward(self, features: list[Tensor], regions: Regions) -> Outputs:
        """L maps (B, C, H_l, W_l) and M regions to raw outputs."""
        found = self.box_head(self.pooling(features, *regions))
        codes = self.box_layer(found).float()
        codes = codes.view(-1, self.box_coder.code_size, self._boxes_each).transpose(1, 2)
        return Outputs(self.class_layer(found).float(), codes)

    def scores(self, outputs: Outputs) -> Tensor:
        """(M, C) in 0..1."""
        return class_scores(outputs.logits, self.classification_loss.activation)

    def boxes(self, outputs: Outputs, regions: Regions) -> Tensor:
        """(M, D, 4) refined boxes, not clipped."""
        return self.box_coder.decode(outputs.codes, as_priors(regions.boxes[:, None]))

    @torch.no_grad()
    def sample(
        self, features: list[Tensor], regions: list[Tensor], targets: list[Target]
    ) -> Sampled:
        """Match the regions (R_i, 4) of each image with its objects, and choose among them."""
        objects = [target.select(~target.ignored) for target in targets]
        everything = join(regions)
        outputs: Outputs | None = None
        if self.assigner.uses_predictions or self.sampler.ranks_by == "losses":
            outputs = self._looked_at(features, everything)
        matched, scores = self._assign(outputs, regions, targets, objects)
        padded = pad(matched, IGNORED)  # (B, R)
        values = self._values(outputs, matched, regions, objects)
        counted = self.sampler(padded, pad(values, 0.0))
        chosen = counted.clone()
        chosen[0, 0] |= ~counted.any()
        image, place = chosen.nonzero(as_tuple=True)
        boxes = pad([boxes.float() for boxes in regions], 0.0)[image, place]
        labels, of_objects = look_up(objects, padded[image, place], image)
        soft = None if scores is None else pad(scores, 1.0)[image, place]
        return Sampled(Regions(boxes, image), labels, of_objects, counted[image, place], soft)

    def _looked_at(self, features: list[Tensor], regions: Regions) -> Outputs:
        """A pass that leaves no trace in averages, which are of the regions that are learned."""
        before = [buffer.clone() for buffer in self.buffers()]
        outputs: Outputs = self(features, regions)
        for buffer, value in zip(self.buffers(), before, strict=True):
            buffer.copy_(value)
        return outputs

    def _values(
        self,
        outputs: Outputs | None,
        matched: list[Tensor],
        regions: list[Tensor],
        objects: list[Target],
    ) -> list[Tensor]:
        """(R_i,) what the sampler ranks the regions of each image by."""
        if self.sampler.ranks_by == "overlaps":
            pairs = zip(regions, objects, strict=True)
            return [highest_overlaps(boxes.float(), each.boxes) for boxes, each in pairs]
        if outputs is None or self.sampler.ranks_by == "nothing":
            return [torch.zeros(len(boxes), device=boxes.device) for boxes in regions]
        labels, _ = look_up(objects, torch.cat(matched), join(regions).image)
        losses = self.classification_loss(outputs.logits, labels)
        return list(torch.split(losses, [len(boxes) for boxes in regions]))

    def losses(self, outputs: Outputs, sampled: Sampled) -> Losses:
        """Sums divided by the sampled regions of all ranks, and weighted."""
        count = self.divisors(sampled.counted.sum().to(outputs.logits.dtype))
        labels = torch.where(sampled.counted, sampled.labels, IGNORED)
        class_losses = self.classification_loss(outputs.logits, labels, sampled.scores)  # (M,)
        class_loss = torch.where(sampled.counted, class_losses, 0).sum()
        positive = (sampled.counted & (sampled.labels >= 0)).nonzero().squeeze(1)
        box = sampled.labels[positive] if self._boxes_each > 1 else 0
        codes = outputs.codes[positive, box]  # (N, code_size)
        priors = Priors(*(field[positive] for field in as_priors(sampled.regions.boxes)))
        box_losses = self._box_losses(codes, priors, sampled.objects[positive])
        if sampled.scores is not None:
            box_losses = sampled.scores[positive] * box_losses
        # Without positives nothing else would give the layer a gradient, and ranks would wait.
        box_loss = box_losses.sum() + 0 * outputs.codes[:1].sum()
        divisor = 1 if self.classification_loss.normalised else count
        return {
            "loss/classification": self.classification_loss.weight * class_loss / divisor,
            "loss/box": self.box_loss.weight * box_loss / count,
        }

    def _assign(
        self,
        outputs: Outputs | None,
        regions: list[Tensor],
        targets: list[Target],
        objects: list[Target],
    ) -> tuple[list[Tensor], list[Tensor] | None]:
        """(R_i,) object of each region of each image, by its index among those that count.

        And its soft target, where the assigner gives any.
        """
        scores: list[Tensor | None] = [None] * len(regions)
        boxes: list[Tensor | None] = [None] * len(regions)
        if outputs is not None and self.assigner.uses_predictions:
            counts = [len(of_image) for of_image in regions]
            scores = list(torch.split(self.scores(outputs), counts))
            boxes = list(torch.split(self._best_boxes(outputs, join(regions)), counts))
        matched, soft, is_soft = [], [], False
        for image, of_image in enumerate(regions):
            priors = as_priors(of_image.float())
            found, of_found = torch.zeros_like(priors.level), None
            if len(of_image) > 0:
                found, of_found = self.assigner(priors, scores[image], boxes[image], objects[image])
            matched.append(mark_ignored(found, priors, targets[image]))
            soft.append(torch.ones_like(priors.stride) if of_found is None else of_found)
            is_soft = is_soft or of_found is not None
        return matched, soft if is_soft else None

    def _best_boxes(self, outputs: Outputs, regions: Regions) -> Tensor:
        """(M, 4) the refined box of each region for its best class."""
        boxes = self.boxes(outputs, regions)
        best = self.scores(outputs).argmax(dim=1) if self._boxes_each > 1 else 0
        return boxes[torch.arange(len(boxes), device=boxes.device), best]

    def _box_losses(self, codes: Tensor, priors: Priors, objects: Tensor) -> Tensor:
        if self.box_loss.space == "boxes":
            return self.box_loss(self.box_coder.decode(codes, priors), objects)
        return self.box_loss(codes, self.box_coder.encode(objects, priors))
