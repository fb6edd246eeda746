"""A conventional branch and one that favours rare classes, with a shift from the first to both."""

from __future__ import annotations

from copy import deepcopy
from typing import Annotated

import torch
from torch import Tensor, nn

from detkit.errors import UserError
from detkit.interfaces import (
    Assigner,
    BoxCoder,
    BoxHead,
    BoxLoss,
    ClassificationLoss,
    Losses,
    MaskHead,
    Pooling,
    Postprocess,
    Sampler,
)
from detkit.registry import NonNegativeFloat, Slot, Wired, register
from detkit.roi_heads.regions import SampledRegions
from detkit.roi_heads.stage import Outputs
from detkit.roi_heads.standard import DELTAS, OVERLAP, SAMPLES, StandardRoIHead
from detkit.structures import IGNORED, ClassCounts


@register("roi_head", "bilateral")
class BilateralRoIHead(StandardRoIHead):
    """BBN: two box heads that learn from different mixtures of classes, for long-tailed data.

    The conventional branch sees the sampled regions. The re-balancing branch sees a partner of each
    of them, drawn from the regions of the batch: a class with N objects in the training set is
    drawn in proportion to 1 / N. With alpha = 1 - (share of the training that is done)^2, the class
    logits of a pair are those of 2 alpha times the features of the conventional branch, and
    2 (1 - alpha) times those of the other one. The loss is alpha times the loss of the region's
    class, plus 1 - alpha times that of its partner's. In predictions both branches see the same
    region, and alpha is 1/2. Boxes are learned from both branches, without partners.

    The paper samples images, which show one class each; here regions take their place. So only
    classes that the batch shows can be drawn, and background keeps its share of the regions. The
    branches share all layers before the box heads.

    Paper: BBN: Bilateral-Branch Network with Cumulative Learning for Long-Tailed Visual Recognition
        (Zhou et al., 2020), equations 1 to 5, https://arxiv.org/abs/1912.02413

    Args:
        class_agnostic: Whether a region has one box, not one for each class.
        add_objects: Whether the boxes of the objects are among the regions it learns from.
        min_size: Detections with a shorter side, in pixels, are dropped.
        pooling: Levels and regions to small maps.
        box_head: Small maps to features; each branch has its own.
        assigner: Which region is responsible for which object.
        sampler: Which regions count in the loss.
        box_coder: What box codes mean, relative to the region.
        classification_loss: Loss of the class scores; cross entropy in the paper.
        box_loss: Loss of the boxes.
        postprocess: Candidates to detections.
        mask_head: The pixels of each object; null detects boxes alone.
    """

    progress: Tensor
    class_shares: Tensor

    def __init__(
        self,
        *,
        num_classes: Wired[int],
        class_counts: Wired[ClassCounts | None] = None,
        class_agnostic: bool = False,
        add_objects: bool = True,
        min_size: NonNegativeFloat = 0.01,
        pooling: Annotated[Pooling, Slot("pooling", "roi_align")],
        box_head: Annotated[BoxHead, Slot("box_head", "two_fc")],
        assigner: Annotated[Assigner, Slot("assigner", "max_iou", OVERLAP)],
        sampler: Annotated[Sampler, Slot("sampler", "random_balanced", SAMPLES)],
        box_coder: Annotated[BoxCoder, Slot("box_coder", "delta", DELTAS)],
        classification_loss: Annotated[
            ClassificationLoss, Slot("loss", "cross_entropy", space=("classes",))
        ],
        box_loss: Annotated[
            BoxLoss, Slot("loss", "smooth_l1", space=("boxes", "codes", "gaussian"))
        ],
        postprocess: Annotated[Postprocess, Slot("postprocess", "nms")],
        mask_head: Annotated[MaskHead | None, Slot("mask_head")] = None,
    ) -> None:
        super().__init__(
            num_classes=num_classes,
            class_agnostic=class_agnostic,
            add_objects=add_objects,
            min_size=min_size,
            pooling=pooling,
            box_head=TwoBranches(box_head),
            assigner=assigner,
            sampler=sampler,
            box_coder=box_coder,
            classification_loss=classification_loss,
            box_loss=box_loss,
            postprocess=postprocess,
            mask_head=mask_head,
        )
        self._knows_counts = class_counts is not None
        counts = torch.tensor(class_counts.objects if class_counts else [1] * num_classes)
        self.register_buffer("class_shares", reversed_shares(counts), persistent=False)
        # Not in checkpoints: a function of the steps so far, which training sets at each of them.
        self.register_buffer("progress", torch.zeros(()), persistent=False)

    def set_progress(self, share: float) -> None:
        """Take the share of the training that is done, in 0..1."""
        self.progress.fill_(share)

    def stage_losses(self, outputs: Outputs, sampled: SampledRegions) -> Losses:
        """The losses of the sampled regions, each with a partner."""
        if not self._knows_counts:
            raise UserError(
                "roi head 'bilateral' needs the number of training objects of each class, which is "
                "unknown here: train from a configuration with a data set, or build the detector "
                "with detkit.build(config), without class_names."
            )
        return self.stage.losses(outputs, sampled, self._mixed_losses(outputs, sampled))

    def _mixed_losses(self, outputs: Outputs, sampled: SampledRegions) -> Tensor:
        """(M,) classification losses of the regions with their partners."""
        regions = sampled.regions
        labels = regions.spread(sampled.labels).flatten()  # (B * S,)
        in_loss = sampled.in_loss.flatten()
        weights = partner_weights(labels, in_loss, self.class_shares)
        drawn = torch.multinomial(weights, len(weights), replacement=True)
        partners = regions.rows.of(drawn.view_as(sampled.in_loss))  # (M,) in 0..B * S - 1

        alpha = 1 - self.progress.square()
        conventional, rebalancing = outputs.features.float().chunk(2, dim=1)
        other = regions.spread(rebalancing).flatten(0, 1)[partners]
        mixed = 2 * torch.cat([alpha * conventional, (1 - alpha) * other], dim=1)
        logits = self.stage.class_layer(mixed)

        own_labels = torch.where(regions.rows.of(sampled.in_loss), sampled.labels, IGNORED)
        scores = other_scores = sampled.scores
        if scores is not None:
            other_scores = regions.spread(scores).flatten()[partners]
        loss = self.stage.classification_loss
        own_losses = loss(logits, own_labels, scores)
        other_losses = loss(logits, labels[partners], other_scores)
        return alpha * own_losses + (1 - alpha) * other_losses


class TwoBranches(nn.Module):
    """Two box heads with the same layers, side by side: features (M, 2 F).

    They start with the same weights, as pretrained ones would; the classifier tells them apart.
    """

    def __init__(self, box_head: BoxHead) -> None:
        """Take the box head of one branch, and copy it for the other one."""
        super().__init__()
        self.conventional = box_head
        self.rebalancing = deepcopy(box_head)
        self.out_channels = 2 * box_head.out_channels

    def forward(self, regions: Tensor) -> Tensor:
        """(M, C, h, w) to (M, 2 F), the conventional branch first."""
        return torch.cat([self.conventional(regions), self.rebalancing(regions)], dim=1)


def reversed_shares(counts: Tensor) -> Tensor:
    """(C,) probability of each class in the re-balancing branch, from its (C,) objects.

    The paper's w_i / sum(w), with w_i = N_max / N_i. A class without objects is never drawn.
    """
    weights = counts.max() / counts.clamp(min=1)
    return weights / weights.sum()


def partner_weights(labels: Tensor, in_loss: Tensor, class_shares: Tensor) -> Tensor:
    """(N,) relative probabilities with which regions are drawn as partners.

    A region with an object is drawn in proportion to the share of its class, divided among the
    regions of the class. Regions with objects, and background, are drawn as often as without
    shares.

    Args:
        labels: (N,) class of each region, or BACKGROUND.
        in_loss: (N,) bool, whether a region counts; all others get 0.
        class_shares: (C,).
    """
    classes = torch.arange(len(class_shares), device=labels.device)
    of_class = in_loss[:, None] & (labels[:, None] == classes)  # (N, C)
    regions = of_class.sum(dim=0)  # (C,)
    shares = torch.where(regions > 0, class_shares, 0)
    shares = shares / shares.sum().clamp(min=1e-30)
    class_weights = shares * regions.sum() / regions.clamp(min=1)
    has_object = in_loss & (labels >= 0)
    weights = torch.where(has_object, class_weights[labels.clamp(min=0)], in_loss.float())
    return torch.where(in_loss.any(), weights, 1)
