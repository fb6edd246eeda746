"""Seesaw loss for long-tailed data sets."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from detkit.losses.classes import require_classes
from detkit.losses.precision import at_least_float32
from detkit.ops import sum_over_ranks
from detkit.registry import NonNegativeFloat, Wired, register

_SMALLEST_SCORE = math.log(0.01)  # of the object's class, in the compensation; the authors' value


@register("loss", "seesaw")
class SeesawLoss(nn.Module):
    """Cross entropy that balances how much objects of one class suppress another class.

    An object of class i suppresses class j with a factor (N_j / N_i)^mitigation if j has been seen
    less often, and with a factor (score of j / score of i)^compensation if j has the higher score.
    N counts the objects that this loss has seen in training, over all ranks; checkpoints keep it.
    As in the paper, a softmax over the classes tells objects apart, and a separate logit tells
    objects from background; its sign is that of background, as in a softmax over both.

    With a soft target t, the class term weighs t, and the target of background is 1 - t. With a
    single class, such as an objectness, the loss equals `bce`.

    Paper: Seesaw Loss for Long-Tailed Instance Segmentation (Wang et al., 2021), equations 4 to 7,
        https://arxiv.org/abs/2008.10032

    Args:
        mitigation: How strongly objects of common classes spare rarer ones; 0 treats all alike.
        compensation: How strongly a wrong class with the higher score is suppressed; 0 is neutral.
        weight: Factor of this loss in the total.
    """

    space: ClassVar = "classes"
    activation: ClassVar = "conditional_softmax"
    normalised: ClassVar = False
    counts: Tensor

    def __init__(
        self,
        *,
        mitigation: NonNegativeFloat = 0.8,
        compensation: NonNegativeFloat = 2.0,
        weight: NonNegativeFloat = 1.0,
        num_classes: Wired[int],
    ) -> None:
        super().__init__()
        self.mitigation = mitigation
        self.compensation = compensation
        self.weight = weight
        self.register_buffer("counts", torch.zeros(num_classes, dtype=torch.int64))

    def forward(self, logits: Tensor, labels: Tensor, scores: Tensor | None = None) -> Tensor:
        """(..., C + 1) logits and (...) labels to (...) losses."""
        logits = at_least_float32(logits)
        class_logits, background = logits[..., :-1], logits[..., -1]
        target = (labels >= 0).to(logits.dtype)
        target = target if scores is None else target * scores.to(logits.dtype)
        index = labels.clamp(min=0).unsqueeze(-1)
        if class_logits.shape[-1] > 1:
            require_classes(class_logits.shape[-1], len(self.counts), "loss 'seesaw' is")
            # A pass without gradients, such as one that ranks samples, is not a training step.
            if self.training and torch.is_grad_enabled():
                self._count(labels)
            class_logits = class_logits + self._log_factors(class_logits.detach(), labels)
        class_losses = -class_logits.log_softmax(dim=-1).gather(-1, index).squeeze(-1)
        background_losses = F.binary_cross_entropy_with_logits(
            background, 1 - target, reduction="none"
        )
        return background_losses + torch.where(labels >= 0, target * class_losses, 0)

    def _count(self, labels: Tensor) -> None:
        """Add this batch's objects of all ranks to the counts."""
        with torch.no_grad():
            position = torch.where(labels >= 0, labels, len(self.counts)).flatten()
            batch = self.counts.new_zeros(len(self.counts) + 1)
            batch.index_add_(0, position, torch.ones_like(position))
            self.counts += sum_over_ranks(batch[:-1])

    def _log_factors(self, class_logits: Tensor, labels: Tensor) -> Tensor:
        """(..., C) logarithms of the factors S_ij of objects of class i = `labels` (...)."""
        index = labels.clamp(min=0).unsqueeze(-1)
        counts = self.counts.clamp(min=1).to(class_logits.dtype).log()  # (C,)
        rarer = (counts - counts[index]).clamp(max=0)  # (..., C)
        scores = class_logits.log_softmax(dim=-1)
        higher = (scores - scores.gather(-1, index).clamp(min=_SMALLEST_SCORE)).clamp(min=0)
        return self.mitigation * rarer + self.compensation * higher
