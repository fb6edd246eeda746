"""Gradient-harmonised losses (GHM-C, GHM-R): reweight examples by gradient density."""

from __future__ import annotations

from typing import Annotated, ClassVar

import torch
from annotated_types import Interval
from torch import Tensor, nn
from torch.nn import functional as F

from detkit.losses.histogram import GradientHistogram
from detkit.losses.labels import Smoothing, label_targets, smoothed_targets
from detkit.losses.precision import at_least_float32
from detkit.registry import NonNegativeFloat, PositiveFloat, PositiveInt, register
from detkit.structures import IGNORED

Momentum = Annotated[float, Interval(ge=0, lt=1)]


@register("loss", "ghm_c")
class GHMClassificationLoss(nn.Module):
    """GHM-C: binary cross entropy, reweighted by gradient density.

    The gradient length of a logit, |p - t|, falls into a bin. Its entropy is divided by the bin's
    count, a moving average over steps and a mean over ranks that checkpoints keep. The sum is the
    mean over bins of their mean entropy, which is the paper's loss, so the head does not normalise
    it. It needs no sampler; with one, only sampled priors are counted.

    Paper: Gradient Harmonized Single-stage Detector (Li et al., 2019),
        https://arxiv.org/abs/1811.05181

    Args:
        bins: Number of equal bins for gradient lengths from 0 to 1.
        momentum: Share of earlier counts kept at each step; 0 counts each batch by itself.
        label_smoothing: How far an object's class targets move towards 1/2; background targets
            stay 0.
        weight: Factor of this loss in the total.
    """

    space: ClassVar = "classes"
    activation: ClassVar = "sigmoid"
    normalised: ClassVar = True

    def __init__(
        self,
        *,
        bins: PositiveInt = 30,
        momentum: Momentum = 0.75,
        label_smoothing: Smoothing = 0.0,
        weight: NonNegativeFloat = 1.0,
    ) -> None:
        super().__init__()
        self.label_smoothing = label_smoothing
        self.weight = weight
        self.histogram = GradientHistogram(bins, momentum)

    def forward(self, logits: Tensor, labels: Tensor, scores: Tensor | None = None) -> Tensor:
        """(M, C) logits and (M,) labels to (M,) losses, summed over classes."""
        logits = at_least_float32(logits)
        target = label_targets(logits, labels, scores)  # (M, C)
        if self.label_smoothing:
            smoothed = smoothed_targets(target, self.label_smoothing)
            target = torch.where(labels[:, None] >= 0, smoothed, target)
        lengths = (logits.detach().sigmoid() - target).abs()
        weights, _ = self.histogram(lengths, labels != IGNORED)
        # Two terms: a single term with a difference would round small losses to 0.
        entropy = target * F.softplus(-logits) + (1 - target) * F.softplus(logits)
        losses: Tensor = (weights * entropy).sum(dim=-1)
        return losses


@register("loss", "ghm_r")
class GHMBoxLoss(nn.Module):
    """GHM-R: smoothed L1 on box codes, weighted by inverse gradient density.

    A difference d of two codes costs sqrt(d^2 + mu^2) - mu, and its gradient length is
    |d| / sqrt(d^2 + mu^2). Weights are computed as in ghm_c, with mean 1. The paper takes the mean
    over the codes of a box and this loss the sum, so the authors' weight of 10 is 2.5 here.

    Paper: Gradient Harmonized Single-stage Detector (Li et al., 2019),
        https://arxiv.org/abs/1811.05181

    Args:
        mu: Difference of codes around which the loss turns from quadratic to linear.
        bins: Number of equal bins for gradient lengths from 0 to 1.
        momentum: Share of earlier counts kept at each step; 0 counts each batch by itself.
        weight: Factor of this loss in the total.
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

    def of_rows(self, predicted: Tensor, target: Tensor, counted: Tensor) -> Tensor:
        """The losses of the rows that count (M,); others are in no bin and have loss 0."""
        losses: Tensor = self(predicted, target, counted)
        return losses

    def forward(self, predicted: Tensor, target: Tensor, counted: Tensor | None = None) -> Tensor:
        """(M, D) and (M, D) to (M,)."""
        difference = at_least_float32(predicted) - at_least_float32(target)
        square = difference.square()
        root = (square + self.mu**2).sqrt()
        lengths = difference.detach().abs() / root.detach()
        if counted is None:
            counted = torch.ones(len(lengths), dtype=torch.bool, device=lengths.device)
        weights, total = self.histogram(lengths, counted)
        # Equal to root - mu, without cancellation.
        losses: Tensor = total * (weights * square / (root + self.mu)).sum(dim=-1)
        return losses
