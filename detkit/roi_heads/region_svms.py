"""Linear SVMs that score the regions of a trained roi head."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

_NEVER = -100.0  # margin of a class without an SVM, whose score is then 0


class RegionSVMs(nn.Module):
    """A linear SVM for each class, on the features of the box head.

    They are fitted once the training has ended, see detkit/training/svm_fitting.py. Until then,
    other scores count.

    Paper: Rich feature hierarchies for accurate object detection (Girshick et al., 2014), section
        2.3, https://arxiv.org/abs/1311.2524
    """

    weight: Tensor
    bias: Tensor
    fitted: Tensor

    def __init__(self, features: int, num_classes: int, *, cost: float) -> None:
        """SVMs that are not fitted yet.

        Args:
            features: F, the features of a region.
            num_classes: C.
            cost: C of the SVMs, the weight of margin violations.
        """
        super().__init__()
        self.cost = cost
        # Buffers, because no optimizer trains them.
        self.register_buffer("weight", torch.zeros(num_classes, features))
        self.register_buffer("bias", torch.full((num_classes,), _NEVER))
        self.register_buffer("fitted", torch.zeros((), dtype=torch.bool))

    def forward(self, features: Tensor) -> Tensor:
        """Features (M, F) to margins (M, C), in float32."""
        return F.linear(features.float(), self.weight.float(), self.bias.float())

    def scores(self, features: Tensor, other_scores: Tensor) -> Tensor:
        """Scores (M, C) in 0..1 of regions with features (M, F), which rise with the margins.

        Args:
            features: What the box head makes of the regions.
            other_scores: (M, C) scores that count as long as the SVMs are not fitted.
        """
        return torch.where(self.fitted, self(features).sigmoid(), other_scores)

    @torch.no_grad()
    def set(self, weight: Tensor, bias: Tensor) -> None:
        """Take fitted weights (C, F) and biases (C,); where a bias is NaN, a class has no SVM."""
        self.weight.copy_(weight)
        self.bias.copy_(bias.nan_to_num(_NEVER))
        self.fitted.fill_(True)

    def forget(self) -> None:
        """Let other scores count again, before a training step that changes the features."""
        if torch.is_grad_enabled():
            self.fitted.fill_(False)
