"""Samples and their objects.

Boxes are float32 absolute xyxy pixels in continuous coordinates (width = x2 - x1); labels are
0..C-1, background has none; sizes are (height, width).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from detkit.structures.outlines import Outlines


@dataclass(frozen=True)
class Target:
    """The objects of one image.

    Attributes:
        boxes: (N, 4) float32.
        labels: (N,) int64.
        ignored: (N,) bool; crowd and difficult objects, which are neither positives nor negatives.
        areas: (N,) float32 annotated areas in original pixels (COCO's `area`, which sorts objects
            into small, medium and large); None if the format has none, so box areas are used.
        outlines: The masks of the objects; None unless the detector needs masks.
    """

    boxes: Tensor
    labels: Tensor
    ignored: Tensor
    areas: Tensor | None = None
    outlines: Outlines | None = None

    def __post_init__(self) -> None:
        """Check that the shapes match."""
        count = len(self.labels)
        if self.boxes.shape != (count, 4) or self.ignored.shape != (count,):
            raise ValueError(
                "a target needs boxes (N, 4), labels (N,) and ignored (N,), got "
                f"{[tuple(value.shape) for value in (self.boxes, self.labels, self.ignored)]}"
            )

    def __len__(self) -> int:
        return len(self.labels)

    @staticmethod
    def empty(device: torch.device | str = "cpu") -> Target:
        """The target of an image without objects."""
        return Target(
            torch.zeros((0, 4), device=device),
            torch.zeros(0, dtype=torch.int64, device=device),
            torch.zeros(0, dtype=torch.bool, device=device),
        )

    def select(self, keep: Tensor) -> Target:
        """The objects selected by indices or a mask."""
        areas = None if self.areas is None else self.areas[keep]
        outlines = None if self.outlines is None else self.outlines.select(keep.cpu().numpy())
        return Target(self.boxes[keep], self.labels[keep], self.ignored[keep], areas, outlines)

    def with_boxes(self, boxes: Tensor, matrix: Tensor | None = None) -> Target:
        """The same objects with moved boxes.

        Args:
            boxes: (N, 4) float32.
            matrix: (3, 3) float64 projective map that moves the masks too; None drops the masks,
                which would no longer fit the boxes.
        """
        if self.outlines is None or matrix is None:
            return replace(self, boxes=boxes, outlines=None)
        return replace(self, boxes=boxes, outlines=self.outlines.moved(matrix.numpy()))

    def to(self, device: torch.device | str) -> Target:
        """The same objects on a device."""
        areas = None if self.areas is None else self.areas.to(device)
        boxes, labels, ignored = (v.to(device) for v in (self.boxes, self.labels, self.ignored))
        return replace(self, boxes=boxes, labels=labels, ignored=ignored, areas=areas)


@dataclass(frozen=True)
class Sample:
    """One image with its objects, on its way from the reader to the batch.

    Attributes:
        image: (3, H, W) uint8 RGB.
        target: The objects, in the coordinates of `image`.
        original_target: The objects as annotated, in the coordinates of the original image.
        image_id: The data set's id of the image, used in COCO results.
        path: The image file, for messages.
        original_size: (height, width) of the image as read, EXIF orientation applied.
        to_image: (3, 3) float64; maps homogeneous (x, y, 1) of the original image to `image`. Each
            geometric transform multiplies its matrix from the left.
        is_decoded: False if the file could not be decoded and `image` is a blank replacement.
        proposals: (R, 4) float32 regions in the coordinates of `image`, which came with the image
            and were moved with it; None if there are none.
    """

    image: Tensor
    target: Target
    original_target: Target
    image_id: int
    path: str
    original_size: tuple[int, int]
    to_image: Tensor = field(default_factory=lambda: torch.eye(3, dtype=torch.float64))
    is_decoded: bool = True
    proposals: Tensor | None = None

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of `image`."""
        return int(self.image.shape[-2]), int(self.image.shape[-1])

    def replace(self, **changes: object) -> Sample:
        """A copy with some attributes changed."""
        return replace(self, **changes)  # type: ignore[arg-type]
