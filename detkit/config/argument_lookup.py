"""Find the constructor argument that a config path sets."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from detkit import registry
from detkit.config.signatures import Argument, arguments, summary
from detkit.config.slots import resolve


@dataclass(frozen=True)
class PathTarget:
    """The argument or part that a config path sets.

    Attributes:
        argument: The constructor's argument; None for the `name` of a part and for a label.
        owner: The part or block that has the argument, such as `neck 'fpn'`.
        file: The source file of the owner; None for a block.
        family: The family of the part whose `name` or label this is.
    """

    argument: Argument | None
    owner: str
    file: Path | None = None
    family: str | None = None


def target_of(root: Callable[..., Any], config: Mapping[str, Any], path: str) -> PathTarget | None:
    """The target of a path in a complete configuration, or None if there is no such key."""
    return _at(arguments(root), PathTarget(None, "the root"), config, path.split("."))


def _at(
    schema: Mapping[str, Argument], owner: PathTarget, node: Any, keys: list[str]
) -> PathTarget | None:
    key, *inner_keys = keys
    if owner.family and key == "name" and not inner_keys:
        return owner
    argument = schema.get(key)
    if argument is None:
        return None
    if not inner_keys:
        return PathTarget(argument, owner.owner, owner.file)
    inner = _get(node, key)
    if argument.by_label:
        label, *inner_keys = inner_keys
        inner = _get(inner, label)
    entered = _enter(argument, inner)
    if entered is None:  # a key inside a mapping value, or of a missing part
        return PathTarget(argument, owner.owner, owner.file)
    return _at(*entered, inner, inner_keys) if inner_keys else entered[1]


def _get(node: Any, key: str) -> Any:
    return node.get(key) if isinstance(node, Mapping) else None


def _enter(argument: Argument, node: Any) -> tuple[Mapping[str, Argument], PathTarget] | None:
    """The arguments inside an argument's value, and their owner."""
    if argument.slot is not None:
        return _part(argument.slot.family, node)
    if argument.block is not None:
        return arguments(resolve(argument.block)), PathTarget(None, f"the block '{argument.name}'")
    return None


def _part(family: str, node: Any) -> tuple[Mapping[str, Argument], PathTarget] | None:
    if not isinstance(node, Mapping):
        return None
    name = str(node["name"])
    factory = registry.get(family, name)
    owner = PathTarget(None, f"{family} '{name}'", registry.part(family, name).file, family)
    return arguments(factory), owner


def meaning(target: PathTarget, config: Mapping[str, Any], path: str) -> str:
    """Type and help of a path, for a user."""
    if target.argument is not None:
        about = f": {target.argument.doc}" if target.argument.doc else ""
        return f"{target.argument.type_text}{about}"
    if target.family is None:
        return ""
    node: Any = config
    for key in path.removesuffix(".name").split("."):
        node = node[key]
    return f"{target.family}: {summary(registry.get(target.family, str(node['name'])))}"


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """(path, value) of every value that is not a mapping, and of every empty mapping."""
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from leaves(inner, f"{path}.{key}" if path else str(key))
    else:
        yield path, value
