"""What a box loss is given, by the kind of things that it compares."""

from __future__ import annotations

from torch import Tensor

from detkit.errors import UserError
from detkit.interfaces import BoxCoder, BoxLoss, DistributionCoder
from detkit.structures import Priors


def compare_boxes(
    loss: BoxLoss, coder: BoxCoder, codes: Tensor, priors: Priors, boxes: Tensor
) -> Tensor:
    """(M,) losses of predicted codes (M, D) at M priors against the boxes (M, 4) of objects."""
    if loss.space == "boxes":
        return loss(coder.decode(codes, priors), boxes)
    return loss(codes, coder.encode(boxes, priors))


def require_comparable(loss: BoxLoss, coder: BoxCoder) -> None:
    """Refuse to compare codes that say nothing by their difference.

    Raises:
        UserError: The loss is one of codes, and these are the logits of distributions.
    """
    if loss.space == "codes" and isinstance(coder, DistributionCoder):
        raise UserError(
            "box_loss compares codes (as l1, smooth_l1 or ghm_r do), and those of box_coder "
            "'distribution' are logits, whose differences mean nothing: choose a loss of boxes, "
            "such as box_loss=giou, or box_coder 'distance'."
        )
