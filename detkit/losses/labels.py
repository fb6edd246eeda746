"""What the losses of independent classes share: targets that are labels, never one-hot."""

from __future__ import annotations

from torch import Tensor


def at_label(logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """The logit of each prior's class, and where there is one.

    Args:
        logits: (..., C).
        labels: (...) in 0..C-1, or -1 for background.

    Returns:
        (...) logits, of class 0 for background, and (...) 1 where the prior has a class, else 0.
    """
    chosen = logits.gather(-1, labels.clamp(min=0).unsqueeze(-1)).squeeze(-1)
    return chosen, (labels >= 0).to(logits.dtype)
