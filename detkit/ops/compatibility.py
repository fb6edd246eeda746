"""Combinations of parts, and older parts, that cannot work."""

from __future__ import annotations

from detkit.errors import UserError
from detkit.structures import PaddedDetections

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


def require_padded(postprocess: object) -> None:
    """Refuse a post-processor that takes the candidates of a single image, as they once did.

    Raises:
        UserError: The annotation of its `__call__` promises the detections of one image.
    """
    kind = type(postprocess)
    result = getattr(kind.__call__, "__annotations__", {}).get("return", PaddedDetections)
    if getattr(result, "__name__", result) == "Detections":
        raise UserError(
            f"post-processor {kind.__name__} ({kind.__module__}) returns the Detections of one "
            "image, as an earlier detkit expected: take the candidates of a batch, boxes "
            "(B, K, 4), scores (B, K) and labels (B, K) with a score of 0 in the padding, and "
            "return PaddedDetections. `detkit plugin new postprocess NAME` writes an example."
        )
