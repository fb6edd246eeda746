"""Convert class logits to scores."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

ClassActivation = Literal["sigmoid", "identity", "softmax", "conditional_softmax"]


def logits_for(num_classes: int, activation: ClassActivation) -> int:
    """K, the class logits of a prior: one for each class, and one for background in a softmax."""
    return num_classes + (activation not in ("sigmoid", "identity"))


def class_scores(logits: Tensor, activation: ClassActivation) -> Tensor:
    """(..., K) logits to (..., C) scores, without background, the last logit of a softmax.

    In a conditional softmax, background has a sigmoid, and the softmax over the classes holds for
    objects. With `identity`, logits are scores, limited to 0..1.
    """
    if activation == "softmax":
        return logits.softmax(dim=-1)[..., :-1]
    if activation == "conditional_softmax":
        return logits[..., :-1].softmax(dim=-1) * (-logits[..., -1:]).sigmoid()
    return logits.clamp(0, 1) if activation == "identity" else logits.sigmoid()
