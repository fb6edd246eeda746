"""What stands at a config path: the constructor's argument, and whose it is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from detkit import registry
from detkit.config.signatures import Argument, arguments, summary
from detkit.config.slots import resolve


@dataclass(frozen=True)
class Place:
    """What a config path stands for.

    Attributes:
        argument: The constructor's argument; None for the `name` of a part and for a label.
        owner: Whose argument it is, such as `neck 'fpn'`.
        file: The source file of the owner; None for what is detkit's own block.
        family: The family of the part whose `name` or label this is.
    """

    argument: Argument | None
    owner: str
    file: Path | None = None
    family: str | None = None


def place_at(root: Callable[..., Any], config: Mapping[str, Any], path: str) -> Place | None:
    """What stands at a path of a complete configuration, or None where there is no such key."""
    return _at(arguments(root), Place(None, "the root"), config, path.split("."))


def _at(schema: Mapping[str, Argument], owner: Place, node: Any, keys: list[str]) -> Place | None:
    key, *inner_keys = keys
    if owner.family and key == "name" and not inner_keys:
        return owner
    argument = schema.get(key)
    if argument is None:
        return None
    if not inner_keys:
        return Place(argument, owner.owner, owner.file)
    inner = _get(node, key)
    if argument.by_label:
        label, *inner_keys = inner_keys
        inner = _get(inner, label)
    entered = _enter(argument, inner)
    if entered is None:  # a key inside a value that is a mapping, or of a part that is not there
        return Place(argument, owner.owner, owner.file)
    return _at(*entered, inner, inner_keys) if inner_keys else entered[1]


def _get(node: Any, key: str) -> Any:
    return node.get(key) if isinstance(node, Mapping) else None


def _enter(argument: Argument, node: Any) -> tuple[Mapping[str, Argument], Place] | None:
    """The arguments of what an argument holds, and whose they are."""
    if argument.slot is not None:
        return _part(argument.slot.family, node)
    if argument.block is not None:
        return arguments(resolve(argument.block)), Place(None, f"the block '{argument.name}'")
    return None


def _part(family: str, node: Any) -> tuple[Mapping[str, Argument], Place] | None:
    if not isinstance(node, Mapping):
        return None
    name = str(node["name"])
    factory = registry.get(family, name)
    owner = Place(None, f"{family} '{name}'", registry.part(family, name).file, family)
    return arguments(factory), owner


def meaning(place: Place, config: Mapping[str, Any], path: str) -> str:
    """Type and help of what stands at a path, for a user."""
    if place.argument is not None:
        about = f": {place.argument.doc}" if place.argument.doc else ""
        return f"{place.argument.type_text}{about}"
    if place.family is None:
        return ""
    node: Any = config
    for key in path.removesuffix(".name").split("."):
        node = node[key]
    return f"{place.family}: {summary(registry.get(place.family, str(node['name'])))}"


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """(path, value) of every value of a configuration that is no mapping, and of empty ones."""
    if isinstance(value, Mapping) and value:
        for key, inner in value.items():
            yield from leaves(inner, f"{path}.{key}" if path else str(key))
    else:
        yield path, value
