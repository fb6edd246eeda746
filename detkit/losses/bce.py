"""Binary cross entropy."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from detkit.losses.classes import ClassWeights
from detkit.losses.labels import Smoothing, smooth_objects, split_at_label
from detkit.losses.precision import at_least_float32
from detkit.registry import NonNegativeFloat, Wired, register


@register("loss", "bce")
class BinaryCrossEntropy(nn.Module):
    """Binary cross entropy of each class by itself; also for quality, with soft targets.

    Args:
        label_smoothing: How far the targets of an object's classes are drawn to 1/2; background
            keeps its target.
        class_weights: Class name to what an object of this class weighs; others and background
            weigh 1.
        weight: Factor of this loss in the sum.
    """

    space: ClassVar = "classes"
    activation: ClassVar = "sigmoid"
    normalised: ClassVar = False

    def __init__(
        self,
        *,
        label_smoothing: Smoothing = 0.0,
        class_weights: dict[str, NonNegativeFloat] | None = None,
        weight: NonNegativeFloat = 1.0,
        class_names: Wired[list[str] | None] = None,
    ) -> None:
        super().__init__()
        self.label_smoothing = label_smoothing
        self.class_weights = ClassWeights(class_weights, class_names)
        self.weight = weight

    def forward(self, logits: Tensor, labels: Tensor, scores: Tensor | None = None) -> Tensor:
        """(..., C) logits and (...) labels to (...) losses, summed over classes."""
        logits = at_least_float32(logits)
        others, chosen = split_at_label(logits, labels, 0.0)
        target = torch.ones_like(chosen) if scores is None else scores.to(chosen)
        losses = others + torch.where(labels >= 0, _entropy(chosen, target), 0)
        if self.label_smoothing:
            losses = smooth_objects(
                losses,
                logits,
                labels,
                scores,
                smoothing=self.label_smoothing,
                elementwise=_entropy,
            )
        weighted: Tensor = self.class_weights(losses, labels, logits.shape[-1])
        return weighted


def _entropy(logits: Tensor, target: Tensor) -> Tensor:
    return F.binary_cross_entropy_with_logits(logits, target, reduction="none")
