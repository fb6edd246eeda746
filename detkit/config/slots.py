"""Positions of parts in a configuration: slots, which are config groups, and labels."""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable
from typing import Any

from detkit import registry
from detkit.config import root
from detkit.config.blocks import Block
from detkit.config.signatures import Argument, arguments

ConfigPath = tuple[str, ...]
ROOTS: dict[str, Callable[..., Any]] = {
    "train": root.Train,
    "resume": root.Train,
    "benchmark": root.Benchmark,
    "evaluate": root.Evaluate,
    "measure": root.Measure,
    "predict": root.Predict,
    "import": root.Import,
    "export": root.Export,
    "replay": root.Replay,
}


def root_arguments() -> dict[str, Argument]:
    """The arguments of all roots; a name has the same meaning in each."""
    return {name: value for factory in ROOTS.values() for name, value in arguments(factory).items()}


def slot_at(path: tuple[str, ...]) -> registry.Slot | None:
    """The slot at a config path, or None. Imports no part: below the root, names decide."""
    if not path:
        return None
    if len(path) == 1:
        argument = root_arguments().get(path[0])
        return argument.slot if argument and not argument.by_label else None
    family = registry.family_of_slot(path[-1])
    if family is None or not (slot_at(path[:-1]) or is_block(path[:-1])):
        return None
    return registry.Slot(family)


def is_block(path: tuple[str, ...]) -> bool:
    """Whether a config path is a block of the root; imports nothing."""
    argument = root_arguments().get(path[0]) if len(path) == 1 else None
    return argument is not None and argument.block is not None


def block_at(path: tuple[str, ...]) -> Callable[..., Any] | None:
    """The constructor of the block at a config path, or None if there is no block."""
    argument = root_arguments().get(path[0]) if len(path) == 1 else None
    return resolve(argument.block) if argument and argument.block else None


def resolve(block: Block) -> Callable[..., Any]:
    """The constructor of a block, imported if the block names it."""
    if not isinstance(block.constructor, str):
        return block.constructor
    module, _, name = block.constructor.partition(":")
    factory: Callable[..., Any] = getattr(importlib.import_module(module), name)
    return factory


def part_family(path: ConfigPath) -> str | None:
    """The family of the part that belongs at a config path, or None.

    A part is in a slot, which is a config group, or under a label (`callbacks.average`), or in a
    slot of a labelled part.
    """
    if not path:
        return None
    if slot := slot_at(path):
        return slot.family
    if (family := label_family(path[:-1])) is not None:
        return family
    owner = part_family(path[:-1]) if len(path) > 1 else None
    if owner is None or not has_slot(owner, path[-1]):
        return None
    return registry.family_of_slot(path[-1])


def label_family(path: ConfigPath) -> str | None:
    """The family of the labelled parts at a config path, or None if it holds none."""
    if not path:
        return None
    *outer, key = path
    if not outer:
        argument = root_arguments().get(key)
    elif (block := block_at(tuple(outer))) is not None:
        argument = arguments(block).get(key)
    else:
        owner = part_family(tuple(outer))
        argument = _labels_of(owner, key) if owner is not None else None
    is_labelled = argument is not None and argument.by_label and argument.slot is not None
    return argument.slot.family if is_labelled else None  # type: ignore[union-attr]


def has_slot(owner: str, key: str) -> bool:
    """Whether a part of a family has a slot of this name; reads sources and imports nothing."""
    return key in registry.slot_names(owner)


def _labels_of(owner: str, key: str) -> Argument | None:
    """An argument that some part of a family has; imports only parts whose source declares it."""
    if registry.family_of_slot(key) is not None or not has_slot(owner, key):
        return None
    declared = re.compile(rf"^ +{re.escape(key)}: Annotated\[", re.MULTILINE)
    for name in registry.names(owner):
        text = registry.part(owner, name).file.read_text(encoding="utf-8")
        if declared.search(text):
            argument = arguments(registry.get(owner, name)).get(key)
            if argument is not None:
                return argument
    return None
