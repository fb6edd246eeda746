"""The norm of all gradients, computed once for the check of non-finite values and for clipping."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.optim import Optimizer

_EPSILON = 1e-6  # what PyTorch adds to the norm before it divides by it


class GradientNorm:
    """The norm of an optimizer's gradients, remembered until it is used or one of them changes."""

    def __init__(self) -> None:
        self._norm: Tensor | None = None
        self._versions: list[tuple[int, int]] = []

    def compute(self, optimizer: Optimizer) -> Tensor:
        """The norm as `torch.nn.utils.clip_grad_norm_` computes it."""
        gradients = _gradients(optimizer)
        with torch.no_grad():
            self._norm = torch.nn.utils.get_total_norm(gradients)
        self._versions = _versions(gradients)
        return self._norm

    def pop(self, optimizer: Optimizer) -> Tensor | None:
        """The last norm, once; None if a gradient has changed since."""
        norm, self._norm = self._norm, None
        return norm if _versions(_gradients(optimizer)) == self._versions else None


def clip(optimizer: Optimizer, norm: Tensor, largest: float) -> None:
    """Scale the gradients down to a norm, as `torch.nn.utils.clip_grad_norm_` does.

    On a CPU, gradients of a smaller norm are not multiplied by 1; elsewhere, comparing would wait
    for the device.
    """
    if norm.device.type == "cpu" and bool(norm + _EPSILON <= largest):
        return
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    torch.nn.utils.clip_grads_with_norm_(parameters, largest, norm)


def _gradients(optimizer: Optimizer) -> list[Tensor]:
    parameters = (p for group in optimizer.param_groups for p in group["params"])
    return [p.grad for p in parameters if p.grad is not None]


def _versions(gradients: list[Tensor]) -> list[tuple[int, int]]:
    """The identity and number of in-place changes of each gradient."""
    return [(id(gradient), gradient._version) for gradient in gradients]
