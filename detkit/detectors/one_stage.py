"""One-stage detectors: from features to detections in one step."""

from __future__ import annotations

from typing import Annotated, ClassVar, Protocol, runtime_checkable

import torch
from annotated_types import MinLen
from torch import Tensor

from detkit.detectors.base import FeatureDetector, in_original_images, sizes_of
from detkit.errors import UserError
from detkit.interfaces import Backbone, Head, Losses, Neck
from detkit.registry import PositiveFloat, Slot, register
from detkit.structures import Batch, DensePredictions, Detections, PaddedDetections


@runtime_checkable
class RawHead(Protocol):
    """A head whose boxes and scores can be exported without post-processing."""

    def boxes_and_scores(
        self, features: list[Tensor], image_sizes: Tensor
    ) -> tuple[Tensor, Tensor]:
        """All boxes (B, P, 4), inside their image, and scores (B, P, C)."""
        ...


@register("detector", "one_stage")
class OneStageDetector(FeatureDetector):
    """Backbone, neck and one dense head; normalises images on the device."""

    compiles_loss: ClassVar = True

    def __init__(
        self,
        *,
        backbone: Annotated[Backbone, Slot("backbone", "resnet50")],
        neck: Annotated[Neck, Slot("neck", "fpn")],
        head: Annotated[Head, Slot("head", "retinanet")],
        pixel_mean: Annotated[tuple[float, ...], MinLen(1)] | None = None,
        pixel_std: Annotated[tuple[PositiveFloat, ...], MinLen(1)] | None = None,
    ) -> None:
        """Take built parts.

        Args:
            backbone: Images to feature levels.
            neck: Feature levels to feature levels.
            head: Feature levels to losses and detections.
            pixel_mean: Mean of each channel (0..255) to subtract; null takes the values that the
                backbone's published weights expect, mostly ImageNet's. Further channels take the
                mean of red, green and blue.
            pixel_std: Deviation of each channel to divide by; null as for `pixel_mean`.
        """
        super().__init__(backbone, neck, pixel_mean, pixel_std)
        self.head = head

    def forward(self, images: Tensor) -> DensePredictions:
        """Raw predictions for images (B, 3, H, W) in 0..255 without padding; for export."""
        return self.head(self.features_in(images))

    def loss(self, batch: Batch) -> Losses:
        """The losses of a batch."""
        targets = batch.targets._replace(image_sizes=batch.size_tensor)
        return self.head.loss(self.features_of(batch), targets)

    @torch.no_grad()
    def predict(self, batch: Batch) -> list[Detections]:
        """The detections of each image, in the coordinates of the original images."""
        detections = self.head.predict(self.features_of(batch), batch.size_tensor)
        return in_original_images(detections, batch)

    @torch.no_grad()
    def detect(self, images: Tensor) -> PaddedDetections:
        """The detections in images (B, 3, H, W) in 0..255 without padding; for export."""
        return self.head.predict(self.features_in(images), sizes_of(images))

    @torch.no_grad()
    def raw_detections(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """All boxes (B, P, 4) and scores (B, P, C) in images as for `detect`; for export."""
        if not isinstance(self.head, RawHead):
            raise UserError(
                f"{type(self.head).__name__} has no method `boxes_and_scores`, which a graph "
                "without post-processing needs: export with nms=true."
            )
        return self.head.boxes_and_scores(self.features_in(images), sizes_of(images))
