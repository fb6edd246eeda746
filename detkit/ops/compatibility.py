"""Check that a box loss and a box coder go together."""

from __future__ import annotations

from detkit.errors import UserError

_BOX_CODE_SIZE = 4


def require_comparable(space: str, code_size: int) -> None:
    """Refuse a loss that compares codes if the codes are logits of distributions.

    Args:
        space: What the box loss compares: boxes or codes.
        code_size: Values per code of the box coder.

    Raises:
        UserError: The loss compares codes that are not four numbers of a box.
    """
    if space == "codes" and code_size != _BOX_CODE_SIZE:
        raise UserError(
            "box_loss compares codes (as l1, smooth_l1 and ghm_r do), but the codes of box_coder "
            "'distribution' are logits, whose differences mean nothing: choose a loss on boxes, "
            "such as box_loss=giou, or box_coder 'distance'."
        )
