"""Convert class logits to scores."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

ClassActivation = Literal["sigmoid", "identity", "soft_clip", "softmax", "conditional_softmax"]
_WITH_BACKGROUND = ("softmax", "conditional_softmax")
_SMALLEST_SCORE = 1e-6  # and 1 minus the largest, whose logits are finite
_KNEE = 0.8  # where `soft_clip` bends; an output of 1 scores 0.9


def logits_for(num_classes: int, activation: ClassActivation) -> int:
    """K, the class logits of a prior: one for each class, and one for background in a softmax."""
    return num_classes + (activation in _WITH_BACKGROUND)


def class_scores(logits: Tensor, activation: ClassActivation) -> Tensor:
    """(..., K) logits to (..., C) scores, without background, the last logit of a softmax.

    In a conditional softmax, background has a sigmoid, and the softmax over the classes holds for
    objects. With `identity`, logits are scores, limited to 0..1. `soft_clip` is the same up to 0.8,
    but above, scores approach 1 on a hyperbola and keep the order of the logits. Negative logits
    score 0 with both, which is never a detection.
    """
    if activation == "softmax":
        return logits.softmax(dim=-1)[..., :-1]
    if activation == "conditional_softmax":
        return logits[..., :-1].softmax(dim=-1) * (-logits[..., -1:]).sigmoid()
    if activation == "identity":
        return logits.clamp(0, 1)
    return _soft_clip(logits) if activation == "soft_clip" else logits.sigmoid()


def binary_scores(logits: Tensor, activation: ClassActivation) -> Tensor:
    """Logits of one class against background, such as objectness, to scores of the same shape."""
    return class_scores(logits, "sigmoid" if activation in _WITH_BACKGROUND else activation)


def object_logits(logits: Tensor, activation: ClassActivation) -> Tensor:
    """(..., K) logits of a single class to (...) logits of its score."""
    if activation == "sigmoid":
        return logits[..., 0]
    if activation == "softmax":
        return logits[..., 0] - logits[..., 1]
    if activation == "conditional_softmax":  # the softmax over one class is 1
        return -logits[..., 1]
    return class_scores(logits, activation)[..., 0].logit(eps=_SMALLEST_SCORE)


def _soft_clip(values: Tensor) -> Tensor:
    """Limit to 0..1, with slope 1 below the knee and at it."""
    excess = (values - _KNEE).clamp(min=0.0)
    room = 1 - _KNEE
    return values.clamp(0.0, _KNEE) + room * excess / (room + excess)
