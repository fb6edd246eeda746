"""Class weights of a classification loss."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from detkit.errors import UserError, did_you_mean


class ClassWeights(nn.Module):
    """Multiplies each prior's loss by the weight of its object's class."""

    by_label: Tensor

    def __init__(
        self, weights: Mapping[str, float] | None, class_names: Sequence[str] | None
    ) -> None:
        """Check the class names.

        Args:
            weights: Weight by class name, 1 for other classes. None leaves losses unchanged.
            class_names: The C names, in label order.

        Raises:
            UserError: A name is not a class of the data set.
        """
        super().__init__()
        names = list(class_names or [])
        for name in weights or {}:
            if name not in names:
                raise UserError(
                    f"class_weights names '{name}', which is not a class of the data set."
                    f"{did_you_mean(name, names)} Classes: {', '.join(names) or 'none'}."
                )
        self.active = weights is not None
        by_label = [*((weights or {}).get(name, 1.0) for name in names), 1.0]  # last: background
        self.register_buffer("by_label", torch.tensor(by_label), persistent=False)

    def forward(self, losses: Tensor, labels: Tensor, classes: int) -> Tensor:
        """Weighted losses (...) of priors with labels (...); `classes` is the number of logits."""
        if not self.active:
            return losses
        weighted_classes = len(self.by_label) - 1
        if classes != weighted_classes:
            raise UserError(
                f"class_weights are for {weighted_classes} classes, but this loss gets {classes} "
                "logits, as in a quality branch: set class_weights on the classification loss only."
            )
        return losses * self.by_label[labels.clamp(min=-1)]
