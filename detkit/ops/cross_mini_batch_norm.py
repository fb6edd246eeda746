"""Batch norm over the batches of one optimizer step (CmBN)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class CrossMiniBatchNorm(nn.Module):
    """Batch norm with the statistics of all batches so far in an optimizer step.

    With accumulated gradients, a batch is normalised by the statistics of its own values and those
    of the earlier batches of its step. So the last batch of a step has the statistics of one large
    batch, and the running statistics change as with that batch. The weights are the same for all of
    them, so nothing corrects the earlier statistics. Gradients flow through the batch's own share
    of the statistics only.

    The training calls `begin_step` before the first batch of each step. Without it, each batch is a
    step, which is plain batch norm.

    The state dict is that of `nn.BatchNorm2d`, so weights fit both. PyTorch has no such layer.

    Paper: YOLOv4: Optimal Speed and Accuracy of Object Detection (Bochkovskiy et al., 2020),
        section 3.3 and figure 4, https://arxiv.org/abs/2004.10934

    Attributes:
        step_count: () number of values per channel in the step so far.
        step_mean: (C,) their mean.
        step_var: (C,) their variance, without Bessel's correction.
        start_mean: (C,) the running mean before the step.
        start_var: (C,) the running variance before the step.
    """

    running_mean: Tensor
    running_var: Tensor
    num_batches_tracked: Tensor
    step_count: Tensor
    step_mean: Tensor
    step_var: Tensor
    start_mean: Tensor
    start_var: Tensor

    def __init__(self, channels: int, *, eps: float = 1e-5, momentum: float = 0.1) -> None:
        """Create the parameters and statistics.

        Args:
            channels: C.
            eps: Added to the variance.
            momentum: Share of a step in the running statistics.
        """
        super().__init__()
        self.eps = eps
        self.momentum = momentum
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.register_buffer("running_mean", torch.zeros(channels))
        self.register_buffer("running_var", torch.ones(channels))
        self.register_buffer("num_batches_tracked", torch.zeros((), dtype=torch.int64))
        # Checkpoints are saved between steps, so they need none of these.
        self.register_buffer("step_count", torch.zeros(()), persistent=False)
        for name in ("step_mean", "step_var", "start_mean", "start_var"):
            self.register_buffer(name, torch.zeros(channels), persistent=False)
        self._is_told_of_steps = False

    def begin_step(self) -> None:
        """Forget the batches of the last step."""
        self._is_told_of_steps = True
        self._reset()

    def forward(self, features: Tensor) -> Tensor:
        """(B, C, H, W), normalised; in training also updates the statistics."""
        if not self.training:
            statistics = self.running_mean, self.running_var
            return F.batch_norm(features, *statistics, self.weight, self.bias, eps=self.eps)
        if not self._is_told_of_steps:
            self._reset()
        values = features.to(torch.promote_types(features.dtype, torch.float32))
        mean, var = self._merge(values)
        scale = self.weight.to(values.dtype) * (var + self.eps).rsqrt()
        shift = self.bias.to(values.dtype) - mean * scale
        scale, shift = scale.view(1, -1, 1, 1), shift.view(1, -1, 1, 1)
        return torch.addcmul(shift, values, scale).to(features.dtype)

    def _merge(self, values: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and variance (C,) of the step, including a batch (B, C, H, W)."""
        count = values.numel() // values.shape[1]
        var, mean = torch.var_mean(values, dim=(0, 2, 3), correction=0)
        total = self.step_count + count
        share = count / total
        # Merged as by Chan et al. (1979): the difference of two means of squares would cancel.
        away = mean - self.step_mean
        merged_mean = self.step_mean + share * away
        within = (1 - share) * self.step_var + share * var
        merged_var = within + share * (1 - share) * away.square()
        self._remember(total, merged_mean.detach(), merged_var.detach())
        return merged_mean, merged_var

    @torch.no_grad()
    def _remember(self, total: Tensor, mean: Tensor, var: Tensor) -> None:
        self.step_count.copy_(total)
        self.step_mean.copy_(mean)
        self.step_var.copy_(var)
        unbiased = var * (total / (total - 1).clamp(min=1))
        # From the start of the step, so that its last batch leaves those of one large batch.
        self.running_mean.copy_(torch.lerp(self.start_mean, mean, self.momentum))
        self.running_var.copy_(torch.lerp(self.start_var, unbiased, self.momentum))
        self.num_batches_tracked += 1

    @torch.no_grad()
    def _reset(self) -> None:
        for buffer in (self.step_count, self.step_mean, self.step_var):
            buffer.zero_()
        self.start_mean.copy_(self.running_mean)
        self.start_var.copy_(self.running_var)

    def extra_repr(self) -> str:
        """The channels and constants, for `print`."""
        return f"{len(self.weight)}, eps={self.eps}, momentum={self.momentum}"
