"""What the losses of independent classes share: targets that are labels, never one-hot."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import torch
from annotated_types import Interval
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from detkit.ops.chunks import row_chunks

Smoothing = Annotated[float, Interval(ge=0, lt=1)]


def split_at_label(logits: Tensor, labels: Tensor, gamma: float) -> tuple[Tensor, Tensor]:
    """The loss of all classes that an object does not have, and the logit of the one it has.

    With p = sigmoid(x), the loss of an absent class is p^gamma * -log(1 - p): focal loss without
    its alpha, and binary cross entropy where gamma is 0. Logits far outnumber all else in a dense
    head, so one tensor of their size is kept for the gradient, where autograd by itself keeps four.

    Args:
        logits: (..., C).
        labels: (...) in 0..C-1, or negative for background.
        gamma: Exponent of the probability.

    Returns:
        (...) losses summed over all classes but the labelled one, and (...) its logits, 0 for
        background.
    """
    others: Tensor
    chosen: Tensor
    others, chosen = _SplitAtLabel.apply(logits, labels, gamma)
    return others, chosen


def label_targets(logits: Tensor, labels: Tensor, scores: Tensor | None) -> Tensor:
    """Targets of the size of the logits, for losses that need them all.

    Args:
        logits: (..., C).
        labels: (...) in 0..C-1, or negative for background.
        scores: (...) soft target of the labelled class, 1 where None.

    Returns:
        (..., C), 0 but at the label.
    """
    values = (labels >= 0).to(logits.dtype)
    values = values if scores is None else values * scores
    index = labels.clamp(min=0).unsqueeze(-1)
    return torch.zeros_like(logits).scatter_(-1, index, values.unsqueeze(-1).to(logits.dtype))


def smooth_objects(
    losses: Tensor,
    logits: Tensor,
    labels: Tensor,
    scores: Tensor | None,
    *,
    smoothing: float,
    elementwise: Callable[[Tensor, Tensor], Tensor],
) -> Tensor:
    """Losses in which those of priors with an object are replaced by those of smoothed targets.

    A target t becomes t * (1 - smoothing) + smoothing / 2, as YOLOv4 and later have it: each class
    is a question with two answers. Background keeps 0: its priors outnumber the others a thousand
    times, and would all learn a score of smoothing / 2.

    Args:
        losses: (...).
        logits: (..., C).
        labels: (...) in 0..C-1, or negative for background.
        scores: (...) soft target of the labelled class, 1 where None.
        smoothing: 0 to 1.
        elementwise: Logits (N, C) and targets (N, C) to losses (N, C).
    """
    objects = labels >= 0
    of_objects = None if scores is None else scores[objects]
    logits = logits[objects]  # (N, C)
    target = label_targets(logits, labels[objects], of_objects)
    target = target * (1 - smoothing) + smoothing / 2
    return losses.masked_scatter(objects, elementwise(logits, target).sum(dim=-1))


class _SplitAtLabel(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor, labels: Tensor, gamma: float) -> tuple[Tensor, Tensor]:
        rows, index = logits.flatten(0, -2), labels.clamp(min=0).reshape(-1, 1)
        has_class = (labels >= 0).reshape(-1, 1)
        chosen = rows.gather(1, index) * has_class
        others = torch.empty_like(chosen)
        slope = torch.empty_like(rows) if ctx.needs_input_grad[0] else None
        # Part by part, of which four tensors at once stay in the cache, this takes half the time.
        for part in row_chunks(len(rows), 4 * rows.shape[1]):
            own, keeps = index[part], ~has_class[part]
            probability, losses = rows[part].sigmoid(), F.softplus(rows[part])
            power = probability.pow(gamma)
            if slope is not None:
                # p^gamma * (gamma * (1 - p) * entropy + p), as dp/dx = p (1 - p), dentropy/dx = p.
                of_power = torch.addcmul(losses, probability, losses, value=-1)
                of_part = torch.add(probability, of_power, alpha=gamma, out=slope[part]).mul_(power)
                of_part.scatter_(1, own, of_part.gather(1, own) * keeps)
            losses.mul_(power)
            losses.scatter_(1, own, losses.gather(1, own) * keeps)
            torch.sum(losses, dim=1, keepdim=True, out=others[part])
        if slope is not None:
            ctx.save_for_backward(slope.view_as(logits), index.view(*labels.shape, 1), has_class)
        return others.view_as(labels), chosen.view_as(labels)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, of_losses: Tensor, of_chosen: Tensor) -> tuple[Tensor, None, None]:
        slope, index, has_class = ctx.saved_tensors
        gradient = slope * of_losses.unsqueeze(-1)
        own = of_chosen.unsqueeze(-1) * has_class.view_as(index)
        return gradient.scatter_add_(-1, index, own), None, None
