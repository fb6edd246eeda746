"""Focal loss."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from detkit.losses.classes import ClassWeights, Overlap, Weights
from detkit.losses.labels import Smoothing, smooth_objects, split_at_label
from detkit.losses.precision import at_least_float32
from detkit.registry import Fraction, NonNegativeFloat, Wired, register
from detkit.structures import ClassCounts


@register("loss", "focal")
class FocalLoss(nn.Module):
    """Binary cross entropy per class that down-weights well-predicted examples.

    Generalised to soft targets as in torchvision: p_t = p t + (1 - p) (1 - t).

    Paper: Focal Loss for Dense Object Detection (Lin et al., 2017), equation 5,
        https://arxiv.org/abs/1708.02002

    Args:
        alpha: Weight of the object's class; the other classes weigh 1 - alpha.
        gamma: How strongly well-predicted examples are down-weighted; 0 is weighted cross entropy.
        label_smoothing: How far an object's class targets move towards 1/2; background targets
            stay 0.
        class_weights: Weight of objects by class name; background and other classes weigh 1.
            `effective_numbers` computes them from the training set (class-balanced loss).
        effective_beta: For `effective_numbers`, how much objects of a class overlap: 0 weighs all
            classes alike, values towards 1 weigh a class by 1 / objects.
        weight: Factor of this loss in the total.
    """

    space: ClassVar = "classes"
    activation: ClassVar = "sigmoid"
    normalised: ClassVar = False

    def __init__(
        self,
        *,
        alpha: Fraction = 0.25,
        gamma: NonNegativeFloat = 2.0,
        label_smoothing: Smoothing = 0.0,
        class_weights: Weights = None,
        effective_beta: Overlap = 0.999,
        weight: NonNegativeFloat = 1.0,
        class_names: Wired[list[str] | None] = None,
        class_counts: Wired[ClassCounts | None] = None,
    ) -> None:
        super().__init__()
        self.alpha = alpha
        self.gamma = gamma
        self.label_smoothing = label_smoothing
        self.class_weights = ClassWeights(class_weights, class_names, class_counts, effective_beta)
        self.weight = weight

    def forward(self, logits: Tensor, labels: Tensor, scores: Tensor | None = None) -> Tensor:
        """(..., C) logits and (...) labels to (...) losses, summed over classes."""
        logits = at_least_float32(logits)
        absent_losses, label_logits = split_at_label(logits, labels, self.gamma)
        target = torch.ones_like(label_logits) if scores is None else scores.to(label_logits)
        label_losses = torch.where(labels >= 0, self._elementwise(label_logits, target), 0)
        losses = (1 - self.alpha) * absent_losses + label_losses
        if self.label_smoothing:
            losses = smooth_objects(
                losses,
                logits,
                labels,
                scores,
                smoothing=self.label_smoothing,
                elementwise=self._elementwise,
            )
        weighted: Tensor = self.class_weights(losses, labels, logits.shape[-1])
        return weighted

    def _elementwise(self, logits: Tensor, target: Tensor) -> Tensor:
        entropy = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
        missed = target * (-logits).sigmoid() + (1 - target) * logits.sigmoid()  # 1 - p_t
        # At 0, the gradient of a power below 1 would be infinite.
        missed = missed.clamp(min=1e-30)
        balance = self.alpha * target + (1 - self.alpha) * (1 - target)
        return balance * missed**self.gamma * entropy
