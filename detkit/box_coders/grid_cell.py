"""YOLO's codes: a position in the cell, and a size relative to the anchor."""

from __future__ import annotations

from typing import Annotated

import torch
from annotated_types import Ge, Gt, MinLen
from torch import Tensor

from detkit.errors import UserError
from detkit.ops.boxes import EPSILON, box_centres, box_sides
from detkit.registry import Wired, register
from detkit.structures import Priors

# A box at or beyond the limits of a sigmoid would need an infinite code. Clamp to 0.01 and 0.99 (a
# code of 4.6), so that a few centres on cell borders do not dominate a loss on codes.
REACH = 0.01
LARGEST_LOG = 6.9  # e^6.9 = 992 anchors; keeps exp finite
Scale = Annotated[float, Ge(1)]


@register("box_coder", "yolov3")
class YOLOv3Coder:
    """A sigmoid for the centre, which stays in the prior's cell, and logarithms of the sides.

    Paper: YOLOv3: An Incremental Improvement (Redmon and Farhadi, 2018), section 2.1,
        https://arxiv.org/abs/1804.02767
    """

    code_size = 4

    def encode(self, boxes: Tensor, priors: Priors) -> Tensor:
        """Boxes (..., 4) to codes (..., 4)."""
        return _encode_with_logarithms(boxes, priors, 1.0)

    def decode(self, codes: Tensor, priors: Priors) -> Tensor:
        """Codes (..., 4) to boxes (..., 4)."""
        return _decode_with_exponents(codes, priors, 1.0)


@register("box_coder", "yolov4")
class YOLOv4Coder:
    """Like `yolov3`, with a centre that reaches slightly beyond its cell, to include the border.

    Paper: YOLOv4: Optimal Speed and Accuracy of Object Detection (Bochkovskiy et al., 2020),
        section 3.4, "eliminate grid sensitivity", https://arxiv.org/abs/2004.10934

    Args:
        scale: Width of the sigmoid in cells: one for all levels, or one for each, fine to coarse.
            The published configuration uses 1.2, 1.1 and 1.05 for strides 8, 16 and 32.
        per_cell: Priors per cell, for each level.

    Raises:
        UserError: There are more or fewer scales than levels.
    """

    code_size = 4

    def __init__(
        self,
        *,
        scale: Scale | Annotated[tuple[Scale, ...], MinLen(1)] = 1.1,
        per_cell: Wired[list[int] | None] = None,
    ) -> None:
        if isinstance(scale, tuple) and len(scale) != len(per_cell or scale):
            raise UserError(
                f"box_coder 'yolov4': `scale` has {len(scale)} values, but the head has "
                f"{len(per_cell or ())} levels: list one value for each, fine to coarse, or a "
                "single number for all."
            )
        self.scale = scale

    def encode(self, boxes: Tensor, priors: Priors) -> Tensor:
        """Boxes (..., 4) to codes (..., 4)."""
        return _encode_with_logarithms(boxes, priors, _scales_at(priors, self.scale))

    def decode(self, codes: Tensor, priors: Priors) -> Tensor:
        """Codes (..., 4) to boxes (..., 4)."""
        return _decode_with_exponents(codes, priors, _scales_at(priors, self.scale))


@register("box_coder", "yolov5")
class YOLOv5Coder:
    """Sigmoids for centre and sides: up to half a cell beyond the cell, and a bounded size ratio.

    With s the sigmoid of the code, the centre is 2 s - 0.5 cells from the cell's corner and the
    sides are (2 s)^2 anchors. Codes of 0 give the anchor itself.

    Paper: Scaled-YOLOv4: Scaling Cross Stage Partial Network (Wang et al., 2020),
        https://arxiv.org/abs/2011.08036, which uses the same; first in YOLOv5

    Args:
        scale: Width of the centre's sigmoid in cells: 2 reaches the centres of adjacent cells.
        largest_ratio: Largest side in anchors; at least the assigner's.
    """

    code_size = 4

    def __init__(self, *, scale: Scale = 2.0, largest_ratio: Annotated[float, Gt(1)] = 4.0) -> None:
        self.scale = scale
        self.largest_ratio = largest_ratio

    def encode(self, boxes: Tensor, priors: Priors) -> Tensor:
        """Boxes (..., 4) to codes (..., 4)."""
        ratios = box_sides(boxes) / box_sides(priors.boxes)
        root = (ratios.clamp(min=0) / self.largest_ratio).sqrt()
        return torch.cat([_encode_centres(boxes, priors, self.scale), _logit(root)], dim=-1)

    def decode(self, codes: Tensor, priors: Priors) -> Tensor:
        """Codes (..., 4) to boxes (..., 4)."""
        sides = codes[..., 2:].sigmoid().square() * self.largest_ratio * box_sides(priors.boxes)
        return _around(_decode_centres(codes, priors, self.scale), sides)


def _scales_at(priors: Priors, scale: float | tuple[float, ...]) -> float | Tensor:
    """The scale of all priors, or that of each prior's level (..., 1)."""
    if not isinstance(scale, tuple):
        return scale
    scales = torch.full_like(priors.stride, scale[0])
    for level, value in enumerate(scale[1:], start=1):
        # Numbers of the host stay there; a table of them would have to be copied to the device.
        scales = torch.where(priors.level == level, value, scales)
    return scales[..., None]


def _encode_with_logarithms(boxes: Tensor, priors: Priors, scale: float | Tensor) -> Tensor:
    ratios = (box_sides(boxes) / box_sides(priors.boxes)).clamp(min=EPSILON)
    return torch.cat([_encode_centres(boxes, priors, scale), ratios.log()], dim=-1)


def _decode_with_exponents(codes: Tensor, priors: Priors, scale: float | Tensor) -> Tensor:
    sides = codes[..., 2:].clamp(max=LARGEST_LOG).exp() * box_sides(priors.boxes)
    return _around(_decode_centres(codes, priors, scale), sides)


def _encode_centres(boxes: Tensor, priors: Priors, scale: float | Tensor) -> Tensor:
    """Centre offset in cell units; the cell is centred on the prior."""
    offset = (box_centres(boxes) - box_centres(priors.boxes)) / priors.stride[..., None]
    return _logit(offset / scale + 0.5)


def _decode_centres(codes: Tensor, priors: Priors, scale: float | Tensor) -> Tensor:
    offset = (codes[..., :2].sigmoid() - 0.5) * scale
    return box_centres(priors.boxes) + offset * priors.stride[..., None]


def _logit(share: Tensor) -> Tensor:
    return share.clamp(REACH, 1 - REACH).logit()


def _around(centres: Tensor, sides: Tensor) -> Tensor:
    return torch.cat([centres - sides / 2, centres + sides / 2], dim=-1)
