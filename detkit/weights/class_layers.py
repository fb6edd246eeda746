"""Find the tensors with rows for classes by building the detector for one more class."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from torch import Tensor

from detkit import assembly
from detkit.assembly import Classes


@dataclass(frozen=True)
class ClassRows:
    """The rows of a tensor that belong to classes, ordered by prior, then class.

    Attributes:
        axis: The axis with A * K rows.
        priors: A, the blocks of K rows.
        extra: Rows of a block after the classes': 1 if background has a logit.
    """

    axis: int
    priors: int
    extra: int

    def blocks(self, tensor: Tensor) -> Tensor:
        """A view (A, K, ...) of the tensor's values."""
        rows = tensor.movedim(self.axis, 0)
        return rows.view(self.priors, -1, *rows.shape[1:])


def class_rows(model: Mapping[str, Any], classes: Classes) -> dict[str, ClassRows]:
    """Find the tensors of a configured detector with rows for classes; allocates no memory."""
    count = len(classes.names)
    ids = [*classes.category_ids, max(classes.category_ids) + 1]
    more = replace(classes, names=[*classes.names, ""], category_ids=ids, counts=None)
    tensors = assembly.describe_on_meta(model, classes).state_dict()
    grown = assembly.describe_on_meta(model, more).state_dict()
    rows = {}
    for name, tensor in tensors.items():
        other = grown[name].shape
        axes = [axis for axis, size in enumerate(tensor.shape) if size != other[axis]]
        if len(axes) != 1:
            continue
        axis = axes[0]
        priors = other[axis] - tensor.shape[axis]
        rows[name] = ClassRows(axis, priors, tensor.shape[axis] // priors - count)
    return rows
