"""A single stage."""

from __future__ import annotations

from typing import Annotated

import torch
from torch import Tensor, nn

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
from detkit.ops import Divisors, clip_boxes, require_padded
from detkit.registry import NonNegativeFloat, PositiveFloat, Slot, Wired, register
from detkit.roi_heads.masks import mask_losses, with_masks
from detkit.roi_heads.region_detections import ScoredRegions, detect, with_objects
from detkit.roi_heads.region_svms import RegionSVMs
from detkit.roi_heads.regions import RegionRows, SampledRegions
from detkit.roi_heads.stage import Outputs, Stage
from detkit.structures import PaddedDetections, PaddedTargets, RegionPredictions, Regions

OVERLAP = {"foreground": 0.5, "background": 0.5, "low_quality": False}
SAMPLES = {"number": 512, "positive_fraction": 0.25}
DELTAS = {"stds": (0.1, 0.1, 0.2, 0.2)}


@register("roi_head", "standard")
class StandardRoIHead(nn.Module):
    """A single stage: the class of each region, and a box for each class.

    Paper: Fast R-CNN (Girshick, 2015), https://arxiv.org/abs/1504.08083

    Both losses are divided by the number of sampled regions.

    Args:
        class_agnostic: Whether a region has one box, not one for each class.
        add_objects: Whether the boxes of the objects are among the regions it learns from.
        min_size: Detections with a shorter side, in pixels, are dropped.
        svm_cost: If set, linear SVMs, which are fitted when the training ends, score the classes as
            in R-CNN. This is their C, the weight of margin violations; 0.001 in R-CNN.
        pooling: Levels and regions to small maps.
        box_head: Small maps to features.
        assigner: Which region is responsible for which object.
        sampler: Which regions count in the loss.
        box_coder: What box codes mean, relative to the region.
        classification_loss: Loss of the class scores.
        box_loss: Loss of the boxes.
        postprocess: Candidates to detections.
        mask_head: The pixels of each object; null detects boxes alone.
    """

    def __init__(
        self,
        *,
        num_classes: Wired[int],
        class_agnostic: bool = False,
        add_objects: bool = True,
        min_size: NonNegativeFloat = 0.01,
        svm_cost: PositiveFloat | None = None,
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
        super().__init__()
        require_padded(postprocess)
        svms = None
        if svm_cost is not None:
            svms = RegionSVMs(box_head.out_channels, num_classes, cost=svm_cost)
        self.stage = Stage(
            num_classes=num_classes,
            class_agnostic=class_agnostic,
            pooling=pooling,
            box_head=box_head,
            assigner=assigner,
            sampler=sampler,
            box_coder=box_coder,
            classification_loss=classification_loss,
            box_loss=box_loss,
            svms=svms,
        )
        self.add_objects = add_objects
        self.min_size = min_size
        self.postprocess = postprocess
        self.mask_head = mask_head
        self.mask_divisors = Divisors()

    def forward(
        self, features: list[Tensor], regions: Regions, image_sizes: Tensor
    ) -> RegionPredictions:
        """Scores and refined boxes of the regions of each image."""
        rows = RegionRows.of(regions)
        outputs = self.stage(features, rows)
        with torch.autocast(features[0].device.type, enabled=False):
            boxes = clip_boxes(self.stage.boxes(outputs, rows), image_sizes[rows.image, None])
            return RegionPredictions(rows.spread(boxes), rows.spread(self.stage.scores(outputs)))

    def loss(
        self,
        features: list[Tensor],
        regions: Regions,
        targets: PaddedTargets,
        image_sizes: Tensor,
    ) -> Losses:
        """The weighted and normalised losses of a batch, in float32.

        Without any object or region all are finite and give every parameter a gradient.
        """
        if self.add_objects:
            regions = with_objects(regions, targets)
        sampled = self.stage.sample(features, regions, targets)
        outputs = self.stage(features, sampled.regions)
        with torch.autocast(features[0].device.type, enabled=False):
            losses = self.stage_losses(outputs, sampled)
        if self.mask_head is not None:
            losses |= mask_losses(self.mask_head, self.mask_divisors, features, sampled, targets)
        return losses

    def stage_losses(self, outputs: Outputs, sampled: SampledRegions) -> Losses:
        """The losses of the sampled regions; a head with another training replaces it."""
        return self.stage.losses(outputs, sampled)

    @torch.no_grad()
    def predict(
        self, features: list[Tensor], regions: Regions, image_sizes: Tensor
    ) -> PaddedDetections:
        """The detections of each image, best first, inside its height and width (B, 2)."""
        rows = RegionRows.of(regions)
        outputs = self.stage(features, rows)
        with torch.autocast(features[0].device.type, enabled=False):
            detections = detect(
                ScoredRegions.of(rows, self.stage.scores(outputs), outputs.codes),
                image_sizes,
                box_coder=self.stage.box_coder,
                postprocess=self.postprocess,
                min_size=self.min_size,
            )
        return with_masks(self.mask_head, features, detections)

    @property
    def svms(self) -> RegionSVMs | None:
        """The SVMs that score the classes once they are fitted; None without `svm_cost`."""
        return self.stage.svms

    @torch.no_grad()
    def region_features(self, features: list[Tensor], regions: Regions) -> Tensor:
        """(B, R, F) what the box head makes of each region; arbitrary in the padding."""
        rows = RegionRows.of(regions)
        return rows.spread(self.stage.region_features(features, rows).float())
