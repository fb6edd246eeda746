"""Histogram of gradient lengths, averaged over steps and ranks."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from detkit.ops.collectives import mean_over_ranks


class GradientHistogram(nn.Module):
    """Weights that give gradients of all sizes the same total weight in a loss.

    Gradient lengths in 0..1 fall into equal bins. Bin counts, a mean over ranks, are averaged over
    training steps and kept in the checkpoint. The average is bias-corrected like Adam's: the first
    step uses its own counts. Outside training, or without gradients, the average does not change.

    Paper: Gradient Harmonized Single-stage Detector (Li et al., 2019),
    https://arxiv.org/abs/1811.05181. As in its authors' code, weights are divided by the number
    of non-empty bins, so that the mean weight is 1 without momentum; the paper counts all bins.
    """

    counts: Tensor
    share: Tensor

    def __init__(self, bins: int, momentum: float) -> None:
        """Take the number of bins and the share of earlier counts kept at each step."""
        super().__init__()
        self.bins = bins
        self.momentum = momentum
        self.register_buffer("counts", torch.zeros(bins))
        # Total weight of the averaged counts, for the bias correction.
        self.register_buffer("share", torch.zeros(()))

    def forward(self, lengths: Tensor, counted: Tensor) -> tuple[Tensor, Tensor]:
        """The weight of each gradient in the sum.

        Every rank must call this, even without any gradient.

        Args:
            lengths: (M, K) in 0..1, constants.
            counted: (M,) bool; all others are in no bin and have weight 0.

        Returns:
            (M, K) weights, whose sum over all ranks is the number of ranks without momentum, and
            () the number of counted gradients, as a mean over ranks.
        """
        # A pass without gradients, such as one that ranks samples, is not a training step.
        update = self.training and torch.is_grad_enabled()
        with torch.no_grad():
            return self._weights(lengths, counted, update)

    def _weights(self, lengths: Tensor, counted: Tensor, update: bool) -> tuple[Tensor, Tensor]:
        position = (lengths * self.bins).int().clamp_(0, self.bins - 1)  # NaN falls into some bin
        position.masked_fill_(~counted[:, None], self.bins)
        # `bincount` would make the host wait for the largest position.
        counter = position.new_zeros(self.bins + 1)
        counter.index_add_(0, position.flatten(), counter.new_ones(()).expand(position.numel()))
        batch_counts = mean_over_ranks(counter[:-1].float())  # (bins,)
        counts, share = self._updated_average(batch_counts)
        if update:
            self.counts.copy_(counts)
            self.share.copy_(share)
        weights = share / (counts * (batch_counts > 0).sum())
        weights = torch.cat([weights.nan_to_num(0, 0, 0), weights.new_zeros(1)])
        return weights.index_select(0, position.flatten()).view_as(lengths), batch_counts.sum()

    def _updated_average(self, batch_counts: Tensor) -> tuple[Tensor, Tensor]:
        """The updated average of counts; unchanged without counts."""
        momentum = torch.where(batch_counts.sum() > 0, self.momentum, 1.0)
        counts = momentum * self.counts + (1 - momentum) * batch_counts
        return counts, momentum * self.share + (1 - momentum)
