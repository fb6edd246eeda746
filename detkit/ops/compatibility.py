"""Combinations of parts, and older parts, that cannot work."""

from __future__ import annotations

from detkit.errors import UserError
from detkit.ops.variances import VarianceCoder
from detkit.structures import PaddedDetections

_BOX_CODE_SIZE = 4


def require_comparable(space: str, box_coder: object) -> None:
    """Refuse a box loss that cannot learn the codes of a box coder.

    Args:
        space: What the box loss compares; see BoxLoss.
        box_coder: The box coder.

    Raises:
        UserError: The codes have variances that the loss does not learn, or the loss learns
            variances that the codes lack, or the codes are logits of distributions.
    """
    has_variances = isinstance(box_coder, VarianceCoder)
    if has_variances != (space == "gaussian"):
        raise UserError(
            "the codes of box_coder 'corner_variance' hold variances, which only box_loss 'kl' "
            "learns: set box_loss=kl, or choose another box_coder such as 'delta'."
            if has_variances
            else "box_loss 'kl' learns variances, which the codes of this box_coder lack: set "
            "box_coder=corner_variance, or choose another box_loss such as smooth_l1."
        )
    code_size = getattr(box_coder, "code_size", _BOX_CODE_SIZE)
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
