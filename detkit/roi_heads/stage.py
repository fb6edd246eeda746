"""A stage of a roi head: classifies regions and refines their boxes. A head has one or several.

M counts regions over all images, C classes, K class logits, D the boxes per region: one for each
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
    assign_batch,
    class_scores,
    highest_overlaps,
    require_batches,
    require_comparable,
)
from detkit.roi_heads.regions import Regions, SampledRegions, as_priors, join, look_up, pad
from detkit.structures import IGNORED, Assignment, PaddedTargets, Priors, Target


class Outputs(NamedTuple):
    """The raw outputs for M regions, in float32.

    Attributes:
        logits: (M, K).
        codes: (M, D, code_size).
    """

    logits: Tensor
    codes: Tensor


class Stage(nn.Module):
    """Pooling, a box head and two output layers, with the parts that interpret and train them."""

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
            class_agnostic: Whether a region has a single box instead of one for each class.
            pooling: Pools a small map for each region from the levels.
            box_head: Turns small maps into features.
            assigner: Which region is responsible for which object.
            sampler: Which regions count in the loss.
            box_coder: What box codes mean, relative to the region.
            classification_loss: Its activation turns logits into scores.
            box_loss: Compares boxes or codes, depending on its `space`.
        """
        super().__init__()
        require_comparable(box_loss.space, box_coder.code_size)
        require_batches(assigner)
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
        region_features = self.box_head(self.pooling(features, *regions))
        codes = self.box_layer(region_features).float()
        codes = codes.view(-1, self.box_coder.code_size, self._boxes_each).transpose(1, 2)
        return Outputs(self.class_layer(region_features).float(), codes)

    def scores(self, outputs: Outputs) -> Tensor:
        """(M, C) in 0..1."""
        return class_scores(outputs.logits, self.classification_loss.activation)

    def boxes(self, outputs: Outputs, regions: Regions) -> Tensor:
        """(M, D, 4) refined boxes, not clipped."""
        return self.box_coder.decode(outputs.codes, as_priors(regions.boxes[:, None]))

    @torch.no_grad()
    def sample(
        self, features: list[Tensor], regions: list[Tensor], targets: list[Target]
    ) -> SampledRegions:
        """Sample the regions (R_i, 4) of each image to learn from, and look up their targets."""
        # Ignored objects match no region; they only mark regions inside them as ignored.
        objects = [target.select(~target.ignored) for target in targets]

        # Some assigners and samplers need predictions for all regions first.
        outputs: Outputs | None = None
        if self.assigner.uses_predictions or self.sampler.ranks_by == "losses":
            outputs = self._forward_keeping_buffers(features, join(regions))

        # Match each region with an object of its image, then sample among the regions of the image.
        matches, soft_targets = self._match(outputs, regions, targets, objects)
        values = self._sampler_values(outputs, matches, regions, objects)
        padded_matches = pad(matches, IGNORED)  # (B, R)
        is_sampled = self.sampler(padded_matches, pad(values, 0.0))  # (B, R)

        # If no region is sampled, the first one passes through the layers without counting in a
        # loss: each parameter must get a gradient, or other ranks would wait for it.
        is_used = is_sampled.clone()
        is_used[0, 0] |= ~is_sampled.any()

        # Join the used regions of all images: from (B, R) to (M,).
        image, position = is_used.nonzero(as_tuple=True)
        boxes = pad([image_boxes.float() for image_boxes in regions], 0.0)[image, position]
        labels, object_boxes = look_up(objects, padded_matches[image, position], image)
        return SampledRegions(
            regions=Regions(boxes, image),
            labels=labels,
            objects=object_boxes,
            in_loss=is_sampled[image, position],
            scores=None if soft_targets is None else pad(soft_targets, 1.0)[image, position],
        )

    def _forward_keeping_buffers(self, features: list[Tensor], regions: Regions) -> Outputs:
        """Forward pass after which all buffers are as before.

        So batch-norm statistics only see the regions that the stage learns from.
        """
        buffers_before = [buffer.clone() for buffer in self.buffers()]
        outputs: Outputs = self(features, regions)
        for buffer, value in zip(self.buffers(), buffers_before, strict=True):
            buffer.copy_(value)
        return outputs

    def _match(
        self,
        outputs: Outputs | None,
        regions: list[Tensor],
        targets: list[Target],
        objects: list[Target],
    ) -> tuple[list[Tensor], list[Tensor] | None]:
        """Match the regions of each image with its objects.

        Returns:
            (R_i,) index of each region's object, BACKGROUND or IGNORED, for each image; (R_i,)
            soft targets likewise, or None if the assigner returns none.
        """
        scores: list[Tensor | None] = [None] * len(regions)
        boxes: list[Tensor | None] = [None] * len(regions)
        if outputs is not None and self.assigner.uses_predictions:
            counts = list(map(len, regions))
            scores = list(torch.split(self.scores(outputs), counts))
            boxes = list(torch.split(self._best_boxes(outputs, join(regions)), counts))
        matches: list[Tensor] = []
        soft_targets: list[Tensor | None] = []
        for image, image_regions in enumerate(regions):
            priors = as_priors(image_regions.float())
            assignment = Assignment(torch.zeros_like(priors.level))
            if len(image_regions) > 0:
                assignment = self._assign(priors, scores[image], boxes[image], targets[image])
            matches.append(assignment.matched)
            soft_targets.append(assignment.scores)
        if all(soft is None for soft in soft_targets):
            return matches, None
        # An image without regions has an empty assignment without soft targets.
        return matches, [
            torch.ones(len(match), device=match.device) if soft is None else soft
            for match, soft in zip(matches, soft_targets, strict=True)
        ]

    def _assign(
        self, priors: Priors, scores: Tensor | None, boxes: Tensor | None, target: Target
    ) -> Assignment:
        """Assign the objects of one image to its regions."""
        image_scores = None if scores is None else scores[None]
        image_boxes = None if boxes is None else boxes[None]
        padded = PaddedTargets.of([target])
        matched, soft = assign_batch(self.assigner, priors, image_scores, image_boxes, padded)
        return Assignment(matched[0], None if soft is None else soft[0])

    def _sampler_values(
        self,
        outputs: Outputs | None,
        matches: list[Tensor],
        regions: list[Tensor],
        objects: list[Target],
    ) -> list[Tensor]:
        """(R_i,) values that the sampler ranks the regions of each image by."""
        if self.sampler.ranks_by == "overlaps":
            return [
                highest_overlaps(image_regions.float(), PaddedTargets.of([image_objects]))[0]
                for image_regions, image_objects in zip(regions, objects, strict=True)
            ]
        if outputs is None or self.sampler.ranks_by == "nothing":
            return [torch.zeros(len(boxes), device=boxes.device) for boxes in regions]
        labels, _ = look_up(objects, torch.cat(matches), join(regions).image)
        losses = self.classification_loss(outputs.logits, labels)
        return list(torch.split(losses, list(map(len, regions))))

    def losses(self, outputs: Outputs, sampled: SampledRegions) -> Losses:
        """Weighted sums of losses, divided by the number of sampled regions over all ranks."""
        count = self.divisors(sampled.in_loss.sum().to(outputs.logits.dtype))
        labels = torch.where(sampled.in_loss, sampled.labels, IGNORED)
        class_losses = self.classification_loss(outputs.logits, labels, sampled.scores)  # (M,)
        class_loss = torch.where(sampled.in_loss, class_losses, 0).sum()
        positive = (sampled.in_loss & (sampled.labels >= 0)).nonzero().squeeze(1)
        box_index = sampled.labels[positive] if self._boxes_each > 1 else 0
        codes = outputs.codes[positive, box_index]  # (N, code_size)
        priors = as_priors(sampled.regions.boxes).at(positive)
        box_losses = self._box_losses(codes, priors, sampled.objects[positive])
        if sampled.scores is not None:
            box_losses = sampled.scores[positive] * box_losses
        # Without positives, only this term gives the layer a gradient; other ranks wait for it.
        box_loss = box_losses.sum() + 0 * outputs.codes[:1].sum()
        divisor = 1 if self.classification_loss.normalised else count
        return {
            "loss/classification": self.classification_loss.weight * class_loss / divisor,
            "loss/box": self.box_loss.weight * box_loss / count,
        }

    def _best_boxes(self, outputs: Outputs, regions: Regions) -> Tensor:
        """(M, 4) the refined box of each region for its best class."""
        boxes = self.boxes(outputs, regions)
        best = self.scores(outputs).argmax(dim=1) if self._boxes_each > 1 else 0
        return boxes[torch.arange(len(boxes), device=boxes.device), best]

    def _box_losses(self, codes: Tensor, priors: Priors, objects: Tensor) -> Tensor:
        if self.box_loss.space == "boxes":
            return self.box_loss(self.box_coder.decode(codes, priors), objects)
        return self.box_loss(codes, self.box_coder.encode(objects, priors))
