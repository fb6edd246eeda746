"""What an object of each class weighs in a classification loss."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from detkit.errors import UserError, did_you_mean


class ClassWeights(nn.Module):
    """Multiplies the losses of priors by what an object of their class weighs."""

    by_label: Tensor

    def __init__(
        self, weights: Mapping[str, float] | None, class_names: Sequence[str] | None
    ) -> None:
        """Check the names.

        Args:
            weights: Class name to weight; a class that is not named weighs 1. None weighs nothing.
            class_names: The C names, in label order.

        Raises:
            UserError: No class has this name.
        """
        super().__init__()
        names = list(class_names or [])
        for name in weights or {}:
            if name not in names:
                raise UserError(
                    f"class_weights names '{name}', which is no class of the data set."
                    f"{did_you_mean(name, names)} Classes: {', '.join(names) or 'none'}."
                )
        self.active = weights is not None
        by_label = [*((weights or {}).get(name, 1.0) for name in names), 1.0]  # last: background
        self.register_buffer("by_label", torch.tensor(by_label), persistent=False)

    def forward(self, losses: Tensor, labels: Tensor, classes: int) -> Tensor:
        """The losses (...) of priors with the labels (...), from logits of so many classes."""
        if not self.active:
            return losses
        known = len(self.by_label) - 1
        if classes != known:
            raise UserError(
                f"class_weights are for {known} classes and this loss compares {classes}, as that "
                "of a quality branch does: give class_weights to the classification loss only."
            )
        return losses * self.by_label[labels.clamp(min=-1)]
