"""Convert class logits to scores."""

from __future__ import annotations

from typing import Literal

from torch import Tensor


def class_scores(logits: Tensor, activation: Literal["sigmoid", "softmax"]) -> Tensor:
    """(..., K) logits to (..., C) scores, without background, the last logit of a softmax."""
    if activation == "softmax":
        return logits.softmax(dim=-1)[..., :-1]
    return logits.sigmoid()
