"""Warn about classes of the initial weights that the new training images do not label."""

from __future__ import annotations

from collections.abc import Sequence

from detkit.assembly import Classes
from detkit.text import agree
from detkit.weights.transfer import Coverage
from detkit.weights.weight_source import WeightSource

_SHOWN = 6


def unlabelled_classes(coverage: Coverage, source: WeightSource, classes: Classes) -> list[str]:
    """Warnings for a training that adds classes to a detector.

    A class without objects is unlearned wherever its objects are unlabelled background. A class
    that the data set does not list is not in the new detector; that is only worth a warning if the
    data set adds classes to those of a detkit checkpoint.

    Args:
        coverage: What was copied.
        source: The weights.
        classes: The classes of the training images.
    """
    warnings = []
    if classes.counts is not None:
        objects = dict(zip(classes.names, classes.counts.objects, strict=True))
        empty = [name for name in coverage.classes if not objects[name]]
        if empty:
            count = len(empty)
            warnings.append(
                f"weights: {_named(empty)} {agree(count, 'has', 'have')} no object in the training "
                f"images: where {agree(count, 'it appears', 'they appear')} unlabelled, the "
                f"detector unlearns {agree(count, 'it', 'them')}. Label the objects (`detkit "
                f"predict ckpt={source.path} source=IMAGES` writes boxes to start from)."
            )
    if source.checkpoint is not None and coverage.new_classes and coverage.left_classes:
        left = coverage.left_classes
        warnings.append(
            f"weights: the data set adds classes and does not list {_named(left)}, which the new "
            f"detector will not detect. To keep {agree(len(left), 'it', 'them')}, add the "
            f"{agree(len(left), 'name', 'names')} to the classes of the data set, and label the "
            "objects."
        )
    return warnings


def _named(names: Sequence[str]) -> str:
    """The classes in words: class 'cat'; classes 'cat', 'dog' and 3 more."""
    shown = ", ".join(f"'{name}'" for name in names[:_SHOWN])
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    return f"{agree(len(names), 'class', 'classes')} {shown}{more}"
