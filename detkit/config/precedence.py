"""Labelled parts of a page that a stronger choice of their group replaces.

The command line is stronger than an experiment, and an experiment than the pages that it includes.
`experiment=bccd_320 augmentation=mosaic` takes only the transforms of `mosaic`, as a mixture of two
lists of transforms would be neither. Plain values of the experiment stay in force, and so do its
settings for labels that the chosen page has.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from detkit.config.composition import current
from detkit.config.slots import label_family

Node = dict[str, Any]


def without_replaced_labels(config_path: str, mapping: Node, file: Path) -> Node:
    """A global page without the labels that stronger choices replace, which are recorded."""
    remaining = dict(mapping)
    for group, value in mapping.items():
        choice = current().includes.stronger_choice(group, config_path)
        if choice is None:
            continue
        dropped: list[str] = []
        if not value and label_family((group,)) is not None:
            del remaining[group]
            dropped.append(group)
        elif isinstance(value, Mapping):
            remaining[group] = _unnamed((group,), value, dropped)
        if dropped:
            current().origins.drop(choice, file, dropped)
    return remaining


def _unnamed(path: tuple[str, ...], mapping: Mapping[Any, Any], dropped: list[str]) -> Node:
    remaining: Node = {}
    is_labelled = label_family(path) is not None
    for key, value in mapping.items():
        inner = (*path, str(key))
        has_name = isinstance(value, str) or (isinstance(value, Mapping) and "name" in value)
        if is_labelled and has_name:
            dropped.append(".".join(inner))
        elif is_labelled and isinstance(value, Mapping):
            current().origins.tune_if_there(".".join(inner))
            remaining[key] = value
        elif not value and label_family(inner) is not None:
            dropped.append(".".join(inner))
        elif isinstance(value, Mapping) and label_family(inner) is not None:
            remaining[key] = _unnamed(inner, value, dropped)
        else:
            remaining[key] = value
    return remaining
