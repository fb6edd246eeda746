"""A box coder: converts boxes to the codes that a head predicts, and back."""

from __future__ import annotations

from torch import Tensor

from detkit import register
from detkit.registry import PositiveFloat
from detkit.structures import Priors


@register("box_coder", "my_box_coder")
class MyBoxCoder:
    """Codes are the distances between the sides of a box and its prior's, in strides.

    Args:
        scale: The number of strides that a code of 1 means.
    """

    code_size = 4  # how many numbers a head predicts for a box

    def __init__(self, *, scale: PositiveFloat = 1.0) -> None:
        self.scale = scale

    def encode(self, boxes: Tensor, priors: Priors) -> Tensor:
        """Boxes (..., 4) to codes (..., 4)."""
        return (boxes - priors.boxes) / (priors.stride[..., None] * self.scale)

    def decode(self, codes: Tensor, priors: Priors) -> Tensor:
        """Codes (..., 4) to boxes (..., 4)."""
        return priors.boxes + codes * (priors.stride[..., None] * self.scale)
