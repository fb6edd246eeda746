"""Equalisation loss for long-tailed data sets."""

from __future__ import annotations

import logging
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from detkit.losses.classes import counts_unknown, require_classes
from detkit.losses.labels import label_targets
from detkit.losses.precision import at_least_float32
from detkit.registry import Fraction, NonNegativeFloat, Wired, register
from detkit.structures import ClassCounts

_log = logging.getLogger("detkit.losses")


@register("loss", "equalisation")
class EqualisationLoss(nn.Module):
    """Binary cross entropy in which objects of other classes do not suppress rare classes.

    An object is a negative example of every class but its own. Rare classes get so many of these
    that they drown their few positive examples, so the loss leaves out an object's terms for other
    classes if they are rare. Background is a negative example of every class. A class is rare if
    its share of the training images is below the threshold. A single logit, such as an objectness,
    has no other classes, so the loss equals `bce`.

    Paper: Equalization Loss for Long-Tailed Object Recognition (Tan et al., 2020), equations 3 and
        4, https://arxiv.org/abs/2003.05176

    Args:
        threshold: Share of the training images below which a class is rare. The paper's value is
            100 images of LVIS; smaller data sets need more.
        weight: Factor of this loss in the total.
    """

    space: ClassVar = "classes"
    activation: ClassVar = "sigmoid"
    normalised: ClassVar = False
    is_rare: Tensor

    def __init__(
        self,
        *,
        threshold: Fraction = 0.00176,
        weight: NonNegativeFloat = 1.0,
        class_counts: Wired[ClassCounts | None] = None,
    ) -> None:
        super().__init__()
        self.weight = weight
        self.knows_counts = class_counts is not None
        is_rare = []
        if class_counts is not None:
            limit = threshold * class_counts.images
            is_rare = [images < limit for images in class_counts.images_with_class]
            if not any(is_rare):
                _log.warning(
                    "loss 'equalisation' equals 'bce' here, as each class is in at least %g of the "
                    "training images: raise threshold",
                    threshold,
                )
        buffer = torch.tensor(is_rare, dtype=torch.bool)  # (C,)
        self.register_buffer("is_rare", buffer, persistent=False)

    def forward(self, logits: Tensor, labels: Tensor, scores: Tensor | None = None) -> Tensor:
        """(..., C) logits and (...) labels to (...) losses, summed over classes."""
        classes = logits.shape[-1]
        logits = at_least_float32(logits)
        target = label_targets(logits, labels, scores)  # (..., C)
        losses = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
        if classes == 1:
            return losses.sum(dim=-1)
        if not self.knows_counts:
            raise counts_unknown("loss 'equalisation'")
        require_classes(classes, len(self.is_rare), "loss 'equalisation' is")
        label = labels.unsqueeze(-1)
        is_other_class = (label >= 0) & (label != torch.arange(classes, device=labels.device))
        return torch.where(is_other_class & self.is_rare, 0, losses).sum(dim=-1)
