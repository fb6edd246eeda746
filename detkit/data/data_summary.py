"""Describe a data set in one line."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from detkit.data.pairing import describe_pairings
from detkit.structures import DatasetIndex
from detkit.text import counted

_EXAMPLES = 3


def describe_splits(indices: Mapping[str, DatasetIndex], class_names: Sequence[str]) -> str:
    """Images, objects and classes of each split, and the files without a counterpart."""
    sizes = [
        f"{name} {counted(len(index), 'image')}, {counted(len(index.labels), 'object')}"
        for name, index in indices.items()
    ]
    classes = f"{counted(len(class_names), 'class')} ({', '.join(class_names)})"
    lone = describe_pairings({name: index.pairing for name, index in indices.items()})
    return "; ".join([*sizes, classes, *_left_out(indices.values()), *lone])


def _left_out(indices: Iterable[DatasetIndex]) -> list[str]:
    """The number of images that the reader dropped, with a few names, each split once."""
    names = dict.fromkeys(
        fault.name
        for index in indices
        for fault in index.faults
        if fault.what == "image" and fault.left_out
    )
    if not names:
        return []
    more = f" and {len(names) - _EXAMPLES:,} more" if len(names) > _EXAMPLES else ""
    return [f"{counted(len(names), 'image')} left out ({', '.join([*names][:_EXAMPLES])}{more})"]
