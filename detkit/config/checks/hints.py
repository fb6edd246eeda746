"""Hints in messages about wrong keys and values."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from difflib import SequenceMatcher
from typing import Any

from detkit import registry
from detkit.config.signatures import arguments
from detkit.unsupported_parts import unsupported_argument

LONGEST_SHOWN = 100  # characters of a wrong value in a message
ALWAYS_WIRED = {  # arguments that assembly fills in wherever they occur
    *("feature_specs", "num_classes", "class_names", "category_ids", "class_counts"),
    *("per_cell", "code_size", "class_activation", "with_quality", "fetch_weights", "masks"),
    "region_shape",
}


def owner_hint(family: str, name: str, key: str) -> str:
    """Name the parts that have this argument; a page may tune a part that was replaced."""
    owners = [
        other
        for other in registry.names(family)
        if other != name and key in arguments(registry.get(family, other))
    ]
    if not owners:
        return ""
    reason = unsupported_argument(family, name, key)
    quoted = ", ".join(repr(owner) for owner in owners)
    return (
        f"{reason} It is an argument of {family} {quoted}, not of "
        f"'{name}': remove the key, or choose that part too."
    )


def with_article(family: str) -> str:
    """The family with `a` or `an`, which names in the plural do not take."""
    if family in registry.PLURAL:
        return family
    return f"{'an' if family[0] in 'aeiou' else 'a'} {family}"


def paths_of(key: str, config: Mapping[Any, Any], path: str = "") -> Iterator[str]:
    """The config paths that end with a key, below the root."""
    for name, value in config.items():
        if path and name == key:
            yield f"{path}{name}"
        elif isinstance(value, Mapping):
            yield from paths_of(key, value, f"{path}{name}.")


def looks_mistyped(key: str, meant: str) -> bool:
    """Whether an unknown root key is so close to a real one that it must be a typing error."""
    ratio = SequenceMatcher(None, key, meant).ratio()
    return ratio >= 0.85 or (ratio >= 0.75 and key[0] == meant[0])  # noqa: PLR2004


def as_nested_yaml(key: str) -> str:
    """A dotted key as nested YAML."""
    *outer, last = key.split(".")
    return "".join(f"{name}: {{" for name in outer) + f"{last}: ..." + "}" * len(outer)


def shown_value(value: Any) -> str:
    """A wrong value and its type, shortened."""
    text = repr(value)
    if len(text) > LONGEST_SHOWN:
        text = f"{text[:LONGEST_SHOWN]}..., {len(text):,} characters"
    return f"{text} ({type(value).__name__})"
