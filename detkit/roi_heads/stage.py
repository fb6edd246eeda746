"""A stage of a roi head: classifies regions and refines their boxes. A head has one or several.

B images have R regions each, M rows in total. C counts classes, K class logits, D the boxes per
region: one for each class, or one for all.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor, nn

from detkit.interfaces import (
    Assigner,
    BoxCoder,
    BoxHead,
    BoxLoss,
    ClassificationLoss,
    LimitedSampler,
    Losses,
    Pooling,
    Sampler,
)
from detkit.ops import (
    Divisors,
    Rows,
    assign_batch,
    class_scores,
    highest_overlaps,
    logits_for,
    require_batches,
    require_comparable,
    rows_in,
)
from detkit.ops.rows import take_rows
from detkit.ops.variances import VarianceCoder
from detkit.roi_heads.pooling import LevelPooling
from detkit.roi_heads.region_svms import RegionSVMs
from detkit.roi_heads.regions import (
    RegionRows,
    SampledRegions,
    as_priors,
    distant_padding,
    look_up,
    unit_box,
)
from detkit.structures import IGNORED, Assignment, PaddedTargets, Priors, Regions

_MOST_POOLED = 2**28  # values of pooled maps at once: a gigabyte


class Outputs(NamedTuple):
    """The raw outputs for M regions, in float32.

    Attributes:
        logits: (M, K).
        codes: (M, D, code_size).
        features: (M, F) of the box head.
    """

    logits: Tensor
    codes: Tensor
    features: Tensor


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
        svms: RegionSVMs | None = None,
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
            svms: Once fitted, they score the regions instead of the activation; None for no SVMs.
        """
        super().__init__()
        require_comparable(box_loss.space, box_coder)
        require_batches(assigner)
        self.pooling = pooling
        self.box_head = box_head
        self.assigner = assigner
        self.sampler = sampler
        self.box_coder = box_coder
        self.classification_loss = classification_loss
        self.box_loss = box_loss
        self.svms = svms
        self.divisors = Divisors()
        logits = logits_for(num_classes, classification_loss.activation)
        self._boxes_each = 1 if class_agnostic else num_classes
        self.class_layer = nn.Linear(box_head.out_channels, logits)
        # Rows in the order code, class: as everywhere, classes are the inner axis.
        self.box_layer = nn.Linear(box_head.out_channels, box_coder.code_size * self._boxes_each)
        for layer, std in ((self.class_layer, 0.01), (self.box_layer, 0.001)):
            nn.init.normal_(layer.weight, std=std)  # Fast R-CNN (Girshick, 2015), section 2.3
            nn.init.zeros_(layer.bias)
        if isinstance(box_coder, VarianceCoder):  # the rows of the log variances; their paper's std
            nn.init.normal_(self.box_layer.weight[4 * self._boxes_each :], std=1e-4)

    def forward(self, features: list[Tensor], regions: RegionRows) -> Outputs:
        """L maps (B, C, H_l, W_l) and M regions to raw outputs."""
        region_features = self.region_features(features, regions)
        codes = self.box_layer(region_features).float()
        codes = codes.view(-1, self.box_coder.code_size, self._boxes_each).transpose(1, 2)
        return Outputs(self.class_layer(region_features).float(), codes, region_features)

    def region_features(self, features: list[Tensor], regions: RegionRows) -> Tensor:
        """(M, out_channels); predictions from large maps, such as crops, go in chunks."""
        rows = max(_MOST_POOLED // math.prod(self.pooling.region_shape), 1)
        if torch.is_grad_enabled() or torch.compiler.is_compiling() or len(regions.boxes) <= rows:
            return self.box_head(self.pooling(features, regions.boxes, regions.image))
        chunks = zip(*(torch.split(v, rows) for v in (regions.boxes, regions.image)), strict=True)
        return torch.cat([self.box_head(self.pooling(features, *chunk)) for chunk in chunks])

    def scores(self, outputs: Outputs) -> Tensor:
        """(M, C) in 0..1."""
        scores = class_scores(outputs.logits, self.classification_loss.activation)
        return scores if self.svms is None else self.svms.scores(outputs.features, scores)

    def boxes(self, outputs: Outputs, regions: RegionRows) -> Tensor:
        """(M, D, 4) refined boxes, not clipped."""
        return self.box_coder.decode(outputs.codes, as_priors(regions.boxes[:, None]))

    @torch.no_grad()
    def sample(
        self, features: list[Tensor], regions: Regions, targets: PaddedTargets
    ) -> SampledRegions:
        """Sample the regions of each image to learn from, and look up their targets.

        Each image gets as many columns as the sampler may sample. Of unused columns, which pass
        through the layers on accelerators, only batch norms of the box head take notice.
        """
        regions = regions._replace(boxes=regions.boxes.float())
        # Some assigners and samplers need predictions for all regions first.
        all_rows, outputs = RegionRows.of(regions), None
        if self.assigner.uses_predictions or self.sampler.ranks_by == "losses":
            outputs = self._forward_keeping_buffers(features, all_rows)

        # Match each region with an object of its image, then sample among the regions of the image.
        matched, soft_targets = self._match(outputs, all_rows, regions, targets)  # (B, R)
        values = self._sampler_values(outputs, all_rows, matched, regions, targets)
        is_sampled = self.sampler(matched, values)  # (B, R)

        # Move the S sampled regions of each image to the front.
        number = regions.mask.shape[1]
        if isinstance(self.sampler, LimitedSampler):
            number = min(number, self.sampler.number)
        columns = is_sampled.sort(dim=1, descending=True, stable=True).indices[:, :number]  # (B, S)
        in_loss = is_sampled.gather(1, columns)

        # If no region is sampled, the first one passes through the layers without counting in a
        # loss: each parameter must get a gradient, or other ranks would wait for it.
        is_used = in_loss.clone()
        is_used[0, 0] |= ~in_loss.any()
        rows = RegionRows.of(Regions(take_rows(regions.boxes, columns), is_used))
        matched = matched.gather(1, columns)
        labels, objects = look_up(targets, matched)
        soft_targets = None if soft_targets is None else soft_targets.gather(1, columns)
        return SampledRegions(
            regions=rows,
            in_loss=in_loss,
            matched=matched,
            labels=rows.rows.of(labels),
            objects=rows.rows.of(objects),
            scores=None if soft_targets is None else rows.rows.of(soft_targets),
        )

    @torch.no_grad()
    def assign_regions(
        self, features: list[Tensor], regions: Regions, targets: PaddedTargets
    ) -> tuple[Priors, Tensor]:
        """The regions as priors, with the level that each is pooled from, and `matched` (B, R)."""
        rows, outputs = RegionRows.of(regions), None
        if self.assigner.uses_predictions:
            outputs = self._forward_keeping_buffers(features, rows)
        matched = self._match(outputs, rows, regions, targets).matched
        if isinstance(self.pooling, LevelPooling):
            return self.pooling.priors(regions.boxes), matched
        ones = torch.ones_like(regions.boxes[..., 0])
        return Priors(regions.boxes, ones, torch.zeros_like(ones, dtype=torch.int64)), matched

    def _forward_keeping_buffers(self, features: list[Tensor], regions: RegionRows) -> Outputs:
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
        rows: RegionRows,
        regions: Regions,
        targets: PaddedTargets,
    ) -> Assignment:
        """Match the regions of each image with its objects; the padding is IGNORED."""
        scores = boxes = None
        if outputs is not None and self.assigner.uses_predictions:
            scores = rows.spread(self.scores(outputs))  # (B, R, C)
            boxes = rows.spread(self._best_boxes(outputs, rows))  # (B, R, 4)
        priors = as_priors(distant_padding(regions))
        matched, soft_targets = assign_batch(self.assigner, priors, scores, boxes, targets)
        return Assignment(torch.where(regions.mask, matched, IGNORED), soft_targets)

    def _sampler_values(
        self,
        outputs: Outputs | None,
        rows: RegionRows,
        matched: Tensor,
        regions: Regions,
        targets: PaddedTargets,
    ) -> Tensor:
        """(B, R) values that the sampler ranks the regions of each image by."""
        if self.sampler.ranks_by == "overlaps":
            return highest_overlaps(regions.boxes, targets)
        if outputs is None or self.sampler.ranks_by == "nothing":
            return torch.zeros_like(matched, dtype=torch.float32)
        labels = targets.labels_of(matched)
        return rows.spread(self.classification_loss(outputs.logits, rows.rows.of(labels)))

    def losses(
        self, outputs: Outputs, sampled: SampledRegions, class_losses: Tensor | None = None
    ) -> Losses:
        """Weighted sums of losses, divided by the number of sampled regions over all ranks.

        `class_losses` (M,) replace those of the regions' logits.
        """
        if self.svms is not None:
            self.svms.forget()
        in_loss = sampled.regions.rows.of(sampled.in_loss)  # (M,)
        count = self.divisors(in_loss.sum().to(outputs.logits.dtype))
        labels = torch.where(in_loss, sampled.labels, IGNORED)
        if class_losses is None:
            class_losses = self.classification_loss(outputs.logits, labels, sampled.scores)
        class_loss = torch.where(in_loss, class_losses, 0).sum()
        box_losses = self._positive_box_losses(outputs, sampled, labels)
        # Without positives, only this term gives the layer a gradient; other ranks wait for it.
        box_loss = box_losses.sum() + 0 * outputs.codes[:1].sum()
        divisor = 1 if self.classification_loss.normalised else count
        return {
            "loss/classification": self.classification_loss.weight * class_loss / divisor,
            "loss/box": self.box_loss.weight * box_loss / count,
        }

    def _positive_box_losses(
        self, outputs: Outputs, sampled: SampledRegions, labels: Tensor
    ) -> Tensor:
        """(N,) losses of the boxes of regions with an object, or (M,) with 0 at all others."""
        rows = rows_in(labels[None] >= 0)
        codes = rows.of(outputs.codes[None])  # (N, D, code_size)
        box_index = rows.of(labels[None]).clamp(min=0) if self._boxes_each > 1 else None
        codes = codes[:, 0] if box_index is None else take_rows(codes, box_index[:, None])[:, 0]
        regions, objects = rows.of(sampled.regions.boxes[None]), rows.of(sampled.objects[None])
        if rows.mask is not None:  # a box without area would give a gradient that is not a number
            has_object, unit = rows.mask[:, None], unit_box(regions)
            regions = torch.where(has_object, regions, unit)
            objects = torch.where(has_object, objects, unit)
        losses = rows.clear(self._box_losses(rows, codes, as_priors(regions), objects))
        return losses if sampled.scores is None else rows.of(sampled.scores[None]) * losses

    def _best_boxes(self, outputs: Outputs, regions: RegionRows) -> Tensor:
        """(M, 4) the refined box of each region for its best class."""
        boxes = self.boxes(outputs, regions)
        if self._boxes_each == 1:
            return boxes[:, 0]
        return take_rows(boxes, self.scores(outputs).argmax(dim=1, keepdim=True))[:, 0]

    def _box_losses(self, rows: Rows, codes: Tensor, priors: Priors, objects: Tensor) -> Tensor:
        if self.box_loss.space == "boxes":
            return rows.losses(self.box_loss, self.box_coder.decode(codes, priors), objects)
        return rows.losses(self.box_loss, codes, self.box_coder.encode(objects, priors))
