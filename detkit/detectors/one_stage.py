"""One-stage detectors: from features to detections in one step."""

from __future__ import annotations

from typing import Annotated, ClassVar, Protocol, runtime_checkable

import torch
from torch import Tensor

from detkit.detectors.base import DetectorModule, in_original_images
from detkit.errors import UserError
from detkit.interfaces import Backbone, Head, Losses, Neck
from detkit.registry import PositiveFloat, Slot, register
from detkit.structures import Batch, DensePredictions, Detections, PaddedDetections

_IMAGENET_MEAN, _IMAGENET_STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)


@runtime_checkable
class RawHead(Protocol):
    """A head whose boxes and scores can be exported without post-processing."""

    def boxes_and_scores(
        self, features: list[Tensor], image_sizes: Tensor
    ) -> tuple[Tensor, Tensor]:
        """All boxes (B, P, 4), inside their image, and scores (B, P, C)."""
        ...


@register("detector", "one_stage")
class OneStageDetector(DetectorModule):
    """Backbone, neck and one dense head; normalises images on the device."""

    compiles_loss: ClassVar = True
    pixel_mean: Tensor
    pixel_std: Tensor

    def __init__(
        self,
        *,
        backbone: Annotated[Backbone, Slot("backbone", "resnet50")],
        neck: Annotated[Neck, Slot("neck", "fpn")],
        head: Annotated[Head, Slot("head", "retinanet")],
        pixel_mean: tuple[float, float, float] | None = None,
        pixel_std: tuple[PositiveFloat, PositiveFloat, PositiveFloat] | None = None,
    ) -> None:
        """Take built parts.

        Args:
            backbone: Images to feature levels.
            neck: Feature levels to feature levels.
            head: Feature levels to losses and detections.
            pixel_mean: Mean of red, green and blue (0..255) to subtract; null takes the values that
                the backbone's published weights expect, mostly ImageNet's.
            pixel_std: Deviation of red, green and blue to divide by; null as for `pixel_mean`.
        """
        super().__init__()
        self.backbone = backbone
        self.neck = neck
        self.head = head
        mean, std = pixel_columns(pixel_mean, pixel_std)
        self.register_buffer("pixel_mean", mean, persistent=False)
        self.register_buffer("pixel_std", std, persistent=False)

    def forward(self, images: Tensor) -> DensePredictions:
        """Raw predictions for images (B, 3, H, W) in 0..255 without padding; for export."""
        return self.head(self.neck(self.backbone(self._normalise(images))))

    def loss(self, batch: Batch) -> Losses:
        """The losses of a batch."""
        return self.head.loss(self.features_of(batch), batch.targets)

    @torch.no_grad()
    def predict(self, batch: Batch) -> list[Detections]:
        """The detections of each image, in the coordinates of the original images."""
        detections = self.head.predict(self.features_of(batch), batch.size_tensor)
        return in_original_images(detections, batch)

    @torch.no_grad()
    def detect(self, images: Tensor) -> PaddedDetections:
        """The detections in images (B, 3, H, W) in 0..255 without padding; for export."""
        features = self.neck(self.backbone(self._normalise(images)))
        return self.head.predict(features, sizes_of(images))

    @torch.no_grad()
    def raw_detections(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """All boxes (B, P, 4) and scores (B, P, C) in images as for `detect`; for export."""
        if not isinstance(self.head, RawHead):
            raise UserError(
                f"{type(self.head).__name__} has no method `boxes_and_scores`, which a graph "
                "without post-processing needs: export with nms=true."
            )
        features = self.neck(self.backbone(self._normalise(images)))
        return self.head.boxes_and_scores(features, sizes_of(images))

    def features_of(self, batch: Batch) -> list[Tensor]:
        """The feature levels for the head."""
        images = self._normalise(batch.images)
        if has_padding(batch):
            images = clear_padding(images, batch.size_tensor)
        return self.neck(self.backbone(images))

    def _normalise(self, images: Tensor) -> Tensor:
        return (images.to(self.pixel_mean.dtype) - self.pixel_mean) / self.pixel_std


def pixel_columns(
    mean: tuple[float, ...] | None, std: tuple[float, ...] | None
) -> tuple[Tensor, Tensor]:
    """Mean and deviation of the colours, (3, 1, 1) each; ImageNet's where one is None.

    The configuration replaces null before a detector is built: see
    detkit/config/derived/pixel_statistics.py.
    """
    values = (mean or _IMAGENET_MEAN, std or _IMAGENET_STD)
    mean_column, std_column = (torch.tensor(colour).view(3, 1, 1) for colour in values)
    return mean_column, std_column


def sizes_of(images: Tensor) -> Tensor:
    """(B, 2) height and width of images (B, 3, H, W) without padding."""
    count, _, height, width = images.shape
    size = torch.stack([torch.scalar_tensor(height), torch.scalar_tensor(width)])
    return size.to(images.device).expand(count, 2)


def has_padding(batch: Batch) -> bool:
    """Whether any image is smaller than its batch; true in a graph, which has no fixed sizes."""
    size = tuple(batch.images.shape[-2:])
    return torch.compiler.is_compiling() or any(s != size for s in batch.image_sizes)


def clear_padding(images: Tensor, sizes: Tensor) -> Tensor:
    """Zero the padding right of and below each image (B, 2), so that its colour has no effect."""
    rows, columns = (torch.arange(side, device=images.device) for side in images.shape[-2:])
    below = rows >= sizes[:, 0, None]  # (B, H)
    beyond = columns >= sizes[:, 1, None]  # (B, W)
    return images.masked_fill((below[:, :, None] | beyond[:, None])[:, None], 0)
