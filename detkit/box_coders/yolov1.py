"""The first YOLO's codes: a position in the cell, and roots of the sides."""

from __future__ import annotations

import torch
from torch import Tensor

from detkit.ops.boxes import box_centres, box_sides
from detkit.registry import PositiveInt, register
from detkit.structures import Priors


@register("box_coder", "yolov1")
class YOLOv1Coder:
    """The centre's position in the prior's cell, and the roots of the sides as shares of the image.

    Because of the roots, a difference counts more in small objects than in large ones. All codes
    are outputs of a linear layer; the square makes sides of any code.

    Paper: You Only Look Once (Redmon et al., 2016), sections 2 and 2.2,
        https://arxiv.org/abs/1506.02640

    Args:
        image_size: Height and width that sides are divided by; an `image_size` of the whole
            configuration sets both.
    """

    code_size = 4

    def __init__(self, *, image_size: tuple[PositiveInt, PositiveInt] = (448, 448)) -> None:
        self.image_size = image_size

    def encode(self, boxes: Tensor, priors: Priors) -> Tensor:
        """Boxes (..., 4) to codes (..., 4)."""
        offset = (box_centres(boxes) - box_centres(priors.boxes)) / priors.stride[..., None]
        height, width = self.image_size
        sides = box_sides(boxes).clamp(min=0)
        roots = torch.cat([sides[..., :1] / width, sides[..., 1:] / height], dim=-1).sqrt()
        return torch.cat([offset + 0.5, roots], dim=-1)

    def decode(self, codes: Tensor, priors: Priors) -> Tensor:
        """Codes (..., 4) to boxes (..., 4)."""
        offset = (codes[..., :2] - 0.5) * priors.stride[..., None]
        centres = box_centres(priors.boxes) + offset
        height, width = self.image_size
        shares = codes[..., 2:].square()
        half_sides = torch.cat([shares[..., :1] * width, shares[..., 1:] * height], dim=-1) / 2
        return torch.cat([centres - half_sides, centres + half_sides], dim=-1)
