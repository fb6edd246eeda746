"""The detections of an image."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Detections(NamedTuple):
    """The detections of one image, best first.

    Attributes:
        boxes: (N, 4) float32 absolute xyxy.
        scores: (N,) float32 in 0..1.
        labels: (N,) int64 in 0..C-1.
    """

    boxes: Tensor
    scores: Tensor
    labels: Tensor

    @staticmethod
    def empty() -> Detections:
        """No detections."""
        return Detections(torch.zeros((0, 4)), torch.zeros(0), torch.zeros(0, dtype=torch.int64))

    def to(self, device: torch.device | str) -> Detections:
        """The same detections on a device."""
        return Detections(*(value.to(device) for value in self))

    def to_original(self, to_image: Tensor, original_size: tuple[int, int]) -> Detections:
        """Map boxes back to the original image and clip them to it.

        Args:
            to_image: (3, 3) projective map from the original image to the detector's input; if it
                rotates, the result is the upright box around the corners.
            original_size: (height, width) of the original image.
        """
        back = torch.linalg.inv(to_image).to(self.boxes)
        corners = self.boxes[:, [0, 1, 2, 1, 2, 3, 0, 3]].reshape(-1, 4, 2)
        moved = corners @ back[:, :2].T + back[:, 2]  # (N, 4, 3) homogeneous
        corners = moved[..., :2] / moved[..., 2:]
        low, high = corners.amin(dim=1), corners.amax(dim=1)
        limit = torch.tensor(original_size[::-1], device=low.device, dtype=low.dtype)
        boxes = torch.cat(
            [low.clamp(min=0).minimum(limit), high.clamp(min=0).minimum(limit)], dim=1
        )
        return self._replace(boxes=boxes)
