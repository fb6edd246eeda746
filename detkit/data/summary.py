"""A data set in one line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from detkit.data.counting import counted
from detkit.data.pairing import describe_pairings
from detkit.structures import DatasetIndex


def describe_splits(indices: Mapping[str, DatasetIndex], class_names: Sequence[str]) -> str:
    """How many images and objects each split has, of which classes, and what has no counterpart."""
    sizes = [
        f"{name} {counted(len(index), 'image')}, {counted(len(index.labels), 'object')}"
        for name, index in indices.items()
    ]
    classes = f"{counted(len(class_names), 'class')} ({', '.join(class_names)})"
    lone = describe_pairings({name: index.pairing for name, index in indices.items()})
    return "; ".join([*sizes, classes, *lone])
