"""Classification losses from labels, without one-hot targets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import torch
from annotated_types import Interval
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

from detkit.ops.chunks import row_chunks
from detkit.ops.selection import is_eager_cpu

Smoothing = Annotated[float, Interval(ge=0, lt=1)]


def split_at_label(logits: Tensor, labels: Tensor, gamma: float) -> tuple[Tensor, Tensor]:
    """The summed loss of all absent classes, and the logit of the labelled class.

    With p = sigmoid(x), the loss of an absent class is p^gamma * -log(1 - p): focal loss without
    alpha, or binary cross entropy if gamma is 0. Logits dominate a dense head's memory, so this
    stores one tensor of their size for the gradient; autograd would store four.

    Args:
        logits: (..., C).
        labels: (...) in 0..C-1, or negative for background.
        gamma: Exponent of the probability.

    Returns:
        (...) losses summed over all classes but the labelled one, and (...) logits of the
        labelled class, 0 for background.
    """
    absent_losses: Tensor
    label_logits: Tensor
    absent_losses, label_logits = _SplitAtLabel.apply(logits, labels, gamma)
    return absent_losses, label_logits


def label_targets(logits: Tensor, labels: Tensor, scores: Tensor | None) -> Tensor:
    """Dense targets in the shape of the logits, for losses that need them.

    Args:
        logits: (..., C).
        labels: (...) in 0..C-1, or negative for background.
        scores: (...) soft target of the labelled class, 1 where None.

    Returns:
        (..., C), 0 except at the label.
    """
    values = (labels >= 0).to(logits.dtype)
    values = values if scores is None else values * scores
    index = labels.clamp(min=0).unsqueeze(-1)
    return torch.zeros_like(logits).scatter_(-1, index, values.unsqueeze(-1).to(logits.dtype))


def smoothed_targets(targets: Tensor, smoothing: float) -> Tensor:
    """A target t as t * (1 - smoothing) + smoothing / 2: each class is a binary decision.

    As in YOLOv4 and later.
    """
    return targets * (1 - smoothing) + smoothing / 2


def smooth_objects(
    losses: Tensor,
    logits: Tensor,
    labels: Tensor,
    scores: Tensor | None,
    *,
    smoothing: float,
    elementwise: Callable[[Tensor, Tensor], Tensor],
) -> Tensor:
    """Recompute the losses of positive priors with smoothed targets.

    Background targets stay 0: background priors outnumber positives a thousand to one, and would
    all learn a score of smoothing / 2.

    Args:
        losses: (...).
        logits: (..., C).
        labels: (...) in 0..C-1, or negative for background.
        scores: (...) soft target of the labelled class, 1 where None.
        smoothing: 0 to 1.
        elementwise: Logits (N, C) and targets (N, C) to losses (N, C).
    """

    def smoothed(logits: Tensor, labels: Tensor, scores: Tensor | None) -> Tensor:
        target = smoothed_targets(label_targets(logits, labels, scores), smoothing)
        return elementwise(logits, target).sum(dim=-1)

    objects = labels >= 0
    if not is_eager_cpu(labels):
        return torch.where(objects, smoothed(logits, labels, scores), losses)
    object_scores = None if scores is None else scores[objects]
    return losses.masked_scatter(objects, smoothed(logits[objects], labels[objects], object_scores))


class _SplitAtLabel(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, logits: Tensor, labels: Tensor, gamma: float) -> tuple[Tensor, Tensor]:
        rows, index = logits.flatten(0, -2), labels.clamp(min=0).reshape(-1, 1)
        has_class = (labels >= 0).reshape(-1, 1)
        label_logits = rows.gather(1, index) * has_class
        absent_losses = torch.empty_like(label_logits)
        slope = torch.empty_like(rows) if ctx.needs_input_grad[0] else None
        # In chunks, whose four tensors fit into the cache, this takes half the time.
        for chunk in row_chunks(len(rows), 4 * rows.shape[1]):
            labelled, is_background = index[chunk], ~has_class[chunk]
            probability, losses = rows[chunk].sigmoid(), F.softplus(rows[chunk])
            power = probability.pow(gamma)
            if slope is not None:
                # p^gamma * (gamma * (1 - p) * entropy + p), as dp/dx = p (1 - p), dentropy/dx = p.
                of_power = torch.addcmul(losses, probability, losses, value=-1)
                slopes = torch.add(probability, of_power, alpha=gamma, out=slope[chunk]).mul_(power)
                slopes.scatter_(1, labelled, slopes.gather(1, labelled) * is_background)
            losses.mul_(power)
            losses.scatter_(1, labelled, losses.gather(1, labelled) * is_background)
            torch.sum(losses, dim=1, keepdim=True, out=absent_losses[chunk])
        if slope is not None:
            ctx.save_for_backward(slope.view_as(logits), index.view(*labels.shape, 1), has_class)
        return absent_losses.view_as(labels), label_logits.view_as(labels)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, of_losses: Tensor, of_logits: Tensor) -> tuple[Tensor, None, None]:
        slope, index, has_class = ctx.saved_tensors
        gradient = slope * of_losses.unsqueeze(-1)
        at_label = of_logits.unsqueeze(-1) * has_class.view_as(index)
        return gradient.scatter_add_(-1, index, at_label), None, None
