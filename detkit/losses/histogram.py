"""How many gradients of each size there are, as a moving average over steps and ranks."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from detkit.ops.collectives import mean_over_ranks


class GradientHistogram(nn.Module):
    """Weights that give gradients of all sizes the same total weight in a loss.

    Gradient lengths in 0..1 fall into equal bins. The counts of the bins, a mean over the ranks,
    are averaged over training steps and kept in the checkpoint. The average starts unbiased, as
    Adam's do: the first step has its own counts. Without training or gradients nothing is kept.

    Paper: Gradient Harmonized Single-stage Detector (Li et al., 2019),
    https://arxiv.org/abs/1811.05181. As in its authors' code, bins that are empty share in nothing,
    so that the mean weight is 1 without momentum; the paper divides by the number of all bins.
    """

    counts: Tensor
    share: Tensor

    def __init__(self, bins: int, momentum: float) -> None:
        """Take the number of bins and what a step keeps of the counts before it."""
        super().__init__()
        self.bins = bins
        self.momentum = momentum
        self.register_buffer("counts", torch.zeros(bins))
        self.register_buffer("share", torch.zeros(()))  # of real counts in the average

    def forward(self, lengths: Tensor, counted: Tensor) -> tuple[Tensor, Tensor]:
        """The weight of each gradient in a sum.

        Every rank has to call this, also without any gradient.

        Args:
            lengths: (M, K) in 0..1, constants.
            counted: (M,) bool; the others are in no bin and get the weight 0.

        Returns:
            (M, K) weights, whose sum over all ranks is the number of ranks without momentum, and
            () the mean over ranks of the M that count times K.
        """
        # A pass without gradients, such as one that ranks samples, is no training step.
        keep = self.training and torch.is_grad_enabled()
        with torch.no_grad():
            return self._weights(lengths, counted, keep)

    def _weights(self, lengths: Tensor, counted: Tensor, keep: bool) -> tuple[Tensor, Tensor]:
        position = (lengths * self.bins).int().clamp_(0, self.bins - 1)  # NaN falls into some bin
        position.masked_fill_(~counted[:, None], self.bins)
        found = position.flatten().bincount(minlength=self.bins + 1)[:-1]  # (bins,)
        found = mean_over_ranks(found.float())
        counts, share = self._moved(found)
        if keep:
            self.counts.copy_(counts)
            self.share.copy_(share)
        weights = share / (counts * (found > 0).sum())
        weights = torch.cat([weights.nan_to_num(0, 0, 0), weights.new_zeros(1)])
        return weights.index_select(0, position.flatten()).view_as(lengths), found.sum()

    def _moved(self, found: Tensor) -> tuple[Tensor, Tensor]:
        """The average after these counts; without any, as it was."""
        kept = torch.where(found.sum() > 0, self.momentum, 1.0)
        return kept * self.counts + (1 - kept) * found, kept * self.share + (1 - kept)
