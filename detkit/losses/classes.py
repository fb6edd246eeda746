"""Class weights of a classification loss."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Literal

import numpy as np
import torch
from annotated_types import Interval
from torch import Tensor, nn

from detkit.errors import UserError, did_you_mean
from detkit.ops.class_weights import effective_number_weights
from detkit.registry import NonNegativeFloat
from detkit.structures import ClassCounts

Weights = dict[str, NonNegativeFloat] | Literal["effective_numbers"] | None
Overlap = Annotated[float, Interval(ge=0, lt=1)]


class UnknownClassesError(UserError):
    """A loss depends on classes that are unknown, as before the data is read."""


class ClassWeights(nn.Module):
    """Multiplies each prior's loss by the weight of its object's class."""

    by_label: Tensor

    def __init__(
        self,
        weights: Mapping[str, float] | Literal["effective_numbers"] | None,
        class_names: Sequence[str] | None,
        class_counts: ClassCounts | None = None,
        beta: float = 0.0,
    ) -> None:
        """Check the class names, or compute the weights from the training set.

        Args:
            weights: Weight by class name, 1 for other classes; `effective_numbers` computes them.
                None leaves losses unchanged.
            class_names: The C names, in label order.
            class_counts: The objects of each class in the training set, if known.
            beta: For `effective_numbers`, how much objects of a class overlap: 0 weighs all classes
                alike, values towards 1 weigh a class by 1 / objects.

        Raises:
            UserError: A name is not a class of the data set.
        """
        super().__init__()
        self.active = weights is not None
        self.unknown = _unknown(weights, class_names, class_counts)
        names, values = list(class_names or []), list[float]()
        if isinstance(weights, Mapping):
            if class_names is not None:  # unknown before the data is read
                _require_classes(weights, names)
            values = [weights.get(name, 1.0) for name in names]
        elif weights is not None and class_counts is not None:
            values = effective_number_weights(np.array(class_counts.objects), beta).tolist()
        by_label = torch.tensor([*values, 1.0])  # last: background
        self.register_buffer("by_label", by_label, persistent=False)

    def forward(self, losses: Tensor, labels: Tensor, classes: int) -> Tensor:
        """Weighted losses (...) of priors with labels (...); `classes` is the number of logits."""
        if not self.active:
            return losses
        if self.unknown is not None:
            raise self.unknown
        require_classes(classes, len(self.by_label) - 1, "class_weights are")
        return losses * self.by_label[labels.clamp(min=-1)]


def _unknown(
    weights: Mapping[str, float] | Literal["effective_numbers"] | None,
    class_names: Sequence[str] | None,
    class_counts: ClassCounts | None,
) -> UnknownClassesError | None:
    """The error about the facts that these weights need and that are unknown."""
    if weights == "effective_numbers" and class_counts is None:
        return counts_unknown("class_weights=effective_numbers")
    if isinstance(weights, Mapping) and class_names is None:
        return UnknownClassesError(
            "class_weights need the class names, which are unknown here: build the detector "
            "with detkit.build(config), which reads them from the data set."
        )
    return None


def counts_unknown(setting: str) -> UnknownClassesError:
    """The error of a loss that needs the class counts of a training set and has none."""
    return UnknownClassesError(
        f"{setting} needs the number of training images and objects of each class, which are "
        "unknown here: train from a configuration with a data set, or build the detector with "
        "detkit.build(config), without class_names."
    )


def require_classes(logits: int, classes: int, setting: str) -> None:
    """Refuse the logits of a branch that does not predict the classes of the data set.

    Raises:
        UserError: The numbers differ.
    """
    if logits != classes:
        raise UserError(
            f"{setting} for {classes} classes, but this loss gets {logits} logits, as in a quality "
            "branch: set it on the classification loss of the head or roi head only."
        )


def _require_classes(weights: Mapping[str, float], names: Sequence[str]) -> None:
    for name in weights:
        if name not in names:
            raise UserError(
                f"class_weights names '{name}', which is not a class of the data set."
                f"{did_you_mean(name, names)} Classes: {', '.join(names) or 'none'}."
            )
