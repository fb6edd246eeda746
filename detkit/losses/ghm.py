"""Gradient-harmonised losses (GHM-C, GHM-R): reweight examples by gradient density."""

from __future__ import annotations

from typing import Annotated, ClassVar

import torch
from annotated_types import Interval
from torch import Tensor, nn
from torch.nn import functional as F

from detkit.losses.histogram import GradientHistogram
from detkit.losses.labels import label_targets
from detkit.losses.precision import at_least_float32
from detkit.registry import NonNegativeFloat, PositiveFloat, PositiveInt, register
from detkit.structures import IGNORED

Momentum = Annotated[float, Interval(ge=0, lt=1)]


@register("loss", "ghm_c")
class GHMClassificationLoss(nn.Module):
    """GHM-C: binary cross entropy, reweighted by gradient density.

    The gradient length of a logit, |p - t|, falls into a bin; its entropy is weighed by 1 over what
    the bin holds, a moving average over steps and a mean over ranks, which checkpoints keep. The
    sum is the mean over bins of their mean entropy, the paper's loss, so a head divides it by
    nothing. Needs no sampler; with one, the bins hold what it chose.

    Paper: Gradient Harmonized Single-stage Detector (Li et al., 2019),
        https://arxiv.org/abs/1811.05181

    Args:
        bins: Equal parts of the gradient lengths 0 to 1.
        momentum: What a step keeps of the counts before it; 0 counts each batch by itself.
        weight: Factor of this loss in the sum.
    """

    space: ClassVar = "classes"
    activation: ClassVar = "sigmoid"
    normalised: ClassVar = True

    def __init__(
        self,
        *,
        bins: PositiveInt = 30,
        momentum: Momentum = 0.75,
        weight: NonNegativeFloat = 1.0,
    ) -> None:
        super().__init__()
        self.weight = weight
        self.histogram = GradientHistogram(bins, momentum)

    def forward(self, logits: Tensor, labels: Tensor, scores: Tensor | None = None) -> Tensor:
        """(M, C) logits and (M,) labels to (M,) losses, summed over classes."""
        logits = at_least_float32(logits)
        target = label_targets(logits, labels, scores)  # (M, C)
        lengths = (logits.detach().sigmoid() - target).abs()
        weights, _ = self.histogram(lengths, labels != IGNORED)
        # In two terms, as one with a difference would round what is predicted well to 0.
        entropy = target * F.softplus(-logits) + (1 - target) * F.softplus(logits)
        losses: Tensor = (weights * entropy).sum(dim=-1)
        return losses


@register("loss", "ghm_r")
class GHMBoxLoss(nn.Module):
    """Smoothed L1 of box codes in which gradients of each size have the same say.

    A difference d of two codes costs sqrt(d^2 + mu^2) - mu, and its gradient length is
    |d| / sqrt(d^2 + mu^2); weights are found as in ghm_c, and are 1 in the mean. The paper has the
    mean over the codes of a box, where this is the sum: its authors' weight of 10 is 2.5 here.

    Paper: Gradient Harmonized Single-stage Detector (Li et al., 2019),
        https://arxiv.org/abs/1811.05181

    Args:
        mu: Difference of codes around which it turns from quadratic to absolute.
        bins: Equal parts of the gradient lengths 0 to 1.
        momentum: What a step keeps of the counts before it; 0 counts each batch by itself.
        weight: Factor of this loss in the sum.
    """

    space: ClassVar = "codes"

    def __init__(
        self,
        *,
        mu: PositiveFloat = 0.02,
        bins: PositiveInt = 10,
        momentum: Momentum = 0.7,
        weight: NonNegativeFloat = 1.0,
    ) -> None:
        super().__init__()
        self.mu = mu
        self.weight = weight
        self.histogram = GradientHistogram(bins, momentum)

    def forward(self, predicted: Tensor, target: Tensor) -> Tensor:
        """(M, D) and (M, D) to (M,)."""
        difference = at_least_float32(predicted) - at_least_float32(target)
        square = difference.square()
        root = (square + self.mu**2).sqrt()
        lengths = difference.detach().abs() / root.detach()
        every = torch.ones(len(lengths), dtype=torch.bool, device=lengths.device)
        weights, total = self.histogram(lengths, every)
        # root - mu, without taking nearly equal numbers from each other.
        losses: Tensor = total * (weights * square / (root + self.mu)).sum(dim=-1)
        return losses
