"""The images of one step with their objects."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from detkit.structures.detections import Detections
from detkit.structures.images import Target
from detkit.structures.padded import PaddedTargets, Regions


@dataclass(frozen=True)
class Batch:
    """The images of one step, padded at the right and the bottom to one size.

    Attributes:
        images: (B, 3, H, W) uint8.
        image_sizes: (height, width) of each image without padding, known to the host.
        targets: The objects of each image, in the coordinates of `images`.
        original_targets: The objects of each image as annotated; they stay on the CPU.
        image_ids: The data set's id of each image.
        paths: The file of each image.
        original_sizes: (height, width) of each image file.
        to_image: (B, 3, 3) float64; see `Sample.to_image`.
        blank: Positions of blank images that replace files that could not be decoded.
        size_tensor: (B, 2) float32, `image_sizes` on the device of the images; made from them by
            default.
        proposals: Regions that came with the images, on the CPU; None if there are none.
    """

    images: Tensor
    image_sizes: list[tuple[int, int]]
    targets: PaddedTargets
    original_targets: list[Target]
    image_ids: list[int]
    paths: list[str]
    original_sizes: list[tuple[int, int]]
    to_image: Tensor
    blank: tuple[int, ...] = ()
    size_tensor: Tensor = field(default=None)  # type: ignore[assignment]  # set below
    proposals: Regions | None = None

    def __post_init__(self) -> None:
        """Make the tensor of sizes."""
        if self.size_tensor is None:
            sizes = torch.tensor(self.image_sizes, dtype=torch.float32).reshape(-1, 2)
            object.__setattr__(self, "size_tensor", sizes.to(self.images.device))

    def __len__(self) -> int:
        return len(self.images)

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Batch:
        """The same batch with images and targets on a device."""
        return replace(
            self,
            images=self.images.to(device, non_blocking=non_blocking),
            targets=self.targets.to(device, non_blocking=non_blocking),
            size_tensor=self.size_tensor.to(device, non_blocking=non_blocking),
        )

    def without_blank(self, detections: list[Detections]) -> list[Detections]:
        """Replace the detections on blank images by empty ones."""
        return [
            Detections.empty() if position in self.blank else image_detections
            for position, image_detections in enumerate(detections)
        ]

    def pin_memory(self) -> Batch:
        """The same batch in pinned memory, for an asynchronous copy to the device."""
        return replace(
            self,
            images=self.images.pin_memory(),
            targets=self.targets.pin_memory(),
            size_tensor=self.size_tensor.pin_memory(),
            proposals=self.proposals and self.proposals.pin_memory(),
        )
