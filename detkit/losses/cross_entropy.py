"""Cross entropy over mutually exclusive classes."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from detkit.losses.classes import ClassWeights, Overlap, Weights
from detkit.losses.labels import Smoothing
from detkit.losses.precision import at_least_float32
from detkit.registry import NonNegativeFloat, Wired, register
from detkit.structures import ClassCounts


@register("loss", "cross_entropy")
class CrossEntropy(nn.Module):
    """Softmax cross entropy over all classes and background, the last logit.

    With a soft target t for the object's class, the background target is 1 - t.

    Args:
        label_smoothing: Share of each target that is spread evenly over all classes and background,
            as in torch.
        class_weights: Weight of objects by class name; background and other classes weigh 1.
            `effective_numbers` computes them from the training set (class-balanced loss).
        effective_beta: For `effective_numbers`, how much objects of a class overlap: 0 weighs all
            classes alike, values towards 1 weigh a class by 1 / objects.
        weight: Factor of this loss in the total.
    """

    space: ClassVar = "classes"
    activation: ClassVar = "softmax"
    normalised: ClassVar = False

    def __init__(
        self,
        *,
        label_smoothing: Smoothing = 0.0,
        class_weights: Weights = None,
        effective_beta: Overlap = 0.999,
        weight: NonNegativeFloat = 1.0,
        class_names: Wired[list[str] | None] = None,
        class_counts: Wired[ClassCounts | None] = None,
    ) -> None:
        super().__init__()
        self.label_smoothing = label_smoothing
        self.class_weights = ClassWeights(class_weights, class_names, class_counts, effective_beta)
        self.weight = weight

    def forward(self, logits: Tensor, labels: Tensor, scores: Tensor | None = None) -> Tensor:
        """(..., C + 1) logits and (...) labels to (...) losses."""
        logs = at_least_float32(logits).log_softmax(dim=-1)
        background = logs[..., -1]
        label_logs = logs.gather(-1, labels.clamp(min=0).unsqueeze(-1)).squeeze(-1)
        target = torch.ones_like(label_logs) if scores is None else at_least_float32(scores)
        target = target * (labels >= 0)
        losses = -(target * label_logs + (1 - target) * background)
        if self.label_smoothing:
            losses = torch.lerp(losses, -logs.mean(dim=-1), self.label_smoothing)
        weighted: Tensor = self.class_weights(losses, labels, logits.shape[-1] - 1)
        return weighted
