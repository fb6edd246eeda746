"""Two-stage detectors: propose regions, then classify and refine each."""

from __future__ import annotations

from typing import Annotated, Protocol, runtime_checkable

import torch
from annotated_types import MinLen
from torch import Tensor

from detkit.detectors.base import FeatureDetector, in_original_images, sizes_of
from detkit.interfaces import Backbone, Losses, Neck, Proposer, RoIHead
from detkit.registry import PositiveFloat, Slot, register
from detkit.structures import Batch, Detections, PaddedDetections, RegionPredictions, Regions


@runtime_checkable
class BatchProposer(Protocol):
    """A proposer whose regions come with the images of a batch."""

    def regions_of(self, batch: Batch) -> Regions:
        """The regions of each image, inside it."""
        ...


@register("detector", "two_stage")
class TwoStageDetector(FeatureDetector):
    """Backbone, neck, a region proposer and a roi head that classifies and refines regions.

    The proposer's losses are named `loss/proposal_...`; all others are the roi head's.

    Paper: Faster R-CNN: Towards Real-Time Object Detection with Region Proposal Networks (Ren et
    al., 2015), https://arxiv.org/abs/1506.01497
    """

    def __init__(
        self,
        *,
        backbone: Annotated[Backbone, Slot("backbone", "resnet50", {"levels": (2, 3, 4, 5)})],
        neck: Annotated[Neck, Slot("neck", "fpn", {"extra": "pool"})],
        proposer: Annotated[Proposer, Slot("proposer", "rpn")],
        roi_head: Annotated[RoIHead, Slot("roi_head", "standard")],
        pixel_mean: Annotated[tuple[float, ...], MinLen(1)] | None = None,
        pixel_std: Annotated[tuple[PositiveFloat, ...], MinLen(1)] | None = None,
    ) -> None:
        """Take built parts.

        Args:
            backbone: Images to feature levels.
            neck: Feature levels to feature levels.
            proposer: Feature levels to regions that may hold an object.
            roi_head: Regions to losses and detections.
            pixel_mean: Mean of each channel (0..255) to subtract; null takes the values that the
                backbone's published weights expect, mostly ImageNet's. Further channels take the
                mean of red, green and blue.
            pixel_std: Deviation of each channel to divide by; null as for `pixel_mean`.
        """
        super().__init__(backbone, neck, pixel_mean, pixel_std)
        self.proposer = proposer
        self.roi_head = roi_head

    def forward(self, images: Tensor) -> RegionPredictions:
        """Boxes and scores of regions for images (B, 3, H, W) in 0..255 without padding."""
        features, sizes = self.features_in(images), sizes_of(images)
        return self.roi_head(features, self.proposer.propose(features, sizes), sizes)

    def loss(self, batch: Batch) -> Losses:
        """The losses of a batch: the proposer's, and the roi head's on the proposals."""
        features, targets, sizes = self.features_of(batch), batch.targets, batch.size_tensor
        if isinstance(self.proposer, BatchProposer):
            return self.roi_head.loss(features, self.proposer.regions_of(batch), targets, sizes)
        proposal_losses, regions = self.proposer.loss_and_proposals(features, targets, sizes)
        losses = self.roi_head.loss(features, regions, targets, sizes)
        renamed = {key.replace("/", "/proposal_"): loss for key, loss in proposal_losses.items()}
        return renamed | losses

    @torch.no_grad()
    def predict(self, batch: Batch) -> list[Detections]:
        """The detections of each image, in the coordinates of the original images."""
        features, sizes = self.features_of(batch), batch.size_tensor
        detections = self.roi_head.predict(features, self.regions_of(features, batch), sizes)
        return in_original_images(detections, batch)

    @torch.no_grad()
    def detect(self, images: Tensor) -> PaddedDetections:
        """The detections in images (B, 3, H, W) in 0..255 without padding; for export."""
        features, sizes = self.features_in(images), sizes_of(images)
        return self.roi_head.predict(features, self.proposer.propose(features, sizes), sizes)

    @torch.no_grad()
    def raw_detections(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """All boxes (B, P, 4) and scores (B, P, C) in images as for `detect`; for export."""
        boxes, scores = self(images)  # (B, R, D, 4), (B, R, C)
        if boxes.shape[2] == 1:
            return boxes[:, :, 0], scores
        # Each class of a region has a box with a score for this class only.
        return boxes.flatten(1, 2), scores.diag_embed().flatten(1, 2)

    def regions_of(self, features: list[Tensor], batch: Batch) -> Regions:
        """The regions that the roi head looks at in a batch with these features."""
        if isinstance(self.proposer, BatchProposer):
            return self.proposer.regions_of(batch)
        return self.proposer.propose(features, batch.size_tensor)
