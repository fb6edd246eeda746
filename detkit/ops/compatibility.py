"""What box codes can be used for."""

from __future__ import annotations

from detkit.errors import UserError

_OF_A_BOX = 4


def require_comparable(space: str, code_size: int) -> None:
    """Refuse to compare codes that say nothing by their difference, as logits of distributions.

    Args:
        space: What the box loss compares.
        code_size: Numbers of a code of the box coder.

    Raises:
        UserError: The loss is one of codes, and these are not four numbers of a box.
    """
    if space == "codes" and code_size != _OF_A_BOX:
        raise UserError(
            "box_loss compares codes (as l1, smooth_l1 or ghm_r do), and those of box_coder "
            "'distribution' are logits, whose differences mean nothing: choose a loss of boxes, "
            "such as box_loss=giou, or box_coder 'distance'."
        )
