"""Losses on decoded boxes: the IoU family."""

from __future__ import annotations

from typing import ClassVar, Literal

from torch import Tensor, nn

from detkit.losses.precision import at_least_float32
from detkit.ops.boxes import EPSILON, complete_iou, distance_iou, generalized_iou, iou
from detkit.registry import NonNegativeFloat, register


@register("loss", "iou")
class IoULoss(nn.Module):
    """One minus IoU, or its negative logarithm; no gradient for disjoint boxes.

    Paper: UnitBox: An Advanced Object Detection Network (Yu et al., 2016),
        https://arxiv.org/abs/1608.01471

    Args:
        mode: linear is 1 - IoU, log is -ln(IoU) as in the paper.
        weight: Factor of this loss in the total.
    """

    space: ClassVar = "boxes"

    def __init__(
        self, *, mode: Literal["linear", "log"] = "linear", weight: NonNegativeFloat = 1.0
    ) -> None:
        super().__init__()
        self.mode = mode
        self.weight = weight

    def forward(self, predicted: Tensor, target: Tensor) -> Tensor:
        """(M, 4) and (M, 4) to (M,)."""
        overlap = iou(at_least_float32(predicted), at_least_float32(target))
        return 1 - overlap if self.mode == "linear" else -overlap.clamp(min=EPSILON).log()


class _OverlapLoss(nn.Module):
    """One minus an overlap measure."""

    space: ClassVar = "boxes"

    def __init__(self, *, weight: NonNegativeFloat = 1.0) -> None:
        super().__init__()
        self.weight = weight

    def forward(self, predicted: Tensor, target: Tensor) -> Tensor:
        """(M, 4) and (M, 4) to (M,)."""
        return 1 - self.measure(at_least_float32(predicted), at_least_float32(target))

    @staticmethod
    def measure(first: Tensor, second: Tensor) -> Tensor:
        """The overlap measure, (M, 4) and (M, 4) to (M,)."""
        raise NotImplementedError


@register("loss", "giou")
class GIoULoss(_OverlapLoss):
    """One minus generalised IoU, which also pulls disjoint boxes together.

    Paper: Generalized Intersection over Union (Rezatofighi et al., 2019),
        https://arxiv.org/abs/1902.09630

    Args:
        weight: Factor of this loss in the total.
    """

    measure = staticmethod(generalized_iou)


@register("loss", "diou")
class DIoULoss(_OverlapLoss):
    """One minus distance IoU, which pulls the centres together.

    Paper: Distance-IoU Loss (Zheng et al., 2020), equation 7, https://arxiv.org/abs/1911.08287

    Args:
        weight: Factor of this loss in the total.
    """

    measure = staticmethod(distance_iou)


@register("loss", "ciou")
class CIoULoss(_OverlapLoss):
    """One minus complete IoU, which also pulls the aspect ratios together.

    Paper: Distance-IoU Loss (Zheng et al., 2020), equation 10, https://arxiv.org/abs/1911.08287

    Args:
        weight: Factor of this loss in the total.
    """

    measure = staticmethod(complete_iou)
