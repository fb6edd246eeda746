"""Page settings that are lost when the command line replaces their part."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from detkit.config.argument_lookup import leaves
from detkit.config.compose import Composed
from detkit.config.difference import value_text
from detkit.config.origins import Origin
from detkit.config.overrides import is_group, parse
from detkit.config.part_overrides import hydra_words
from detkit.files import display_path


def lost_values(composed: Composed) -> list[str]:
    """A line for each value and each list of labels that a page sets without effect.

    A swap removes the old part completely. If both parts have an argument, such as `levels` of
    backbones, the page's value for it was often meant for the detector, not for the part.

    Args:
        composed: The configuration, its overrides and where its values come from.
    """
    typed = [word for word in composed.overrides if "=" in word and not word.startswith(("~", "-"))]
    overrides = [parse(word) for word in hydra_words(typed)]
    keys = [override.key_or_group for override in overrides]
    swaps = [
        (override.key_or_group, str(override.value()))
        for override in overrides
        if "/" in override.key_or_group and is_group(override.key_or_group)
    ]
    dropped = [
        f"{choice} discards these settings of {display_path(file)}: {', '.join(paths)}"
        for choice, file, paths in composed.composition.origins.dropped()
    ]
    lost = (line for group, option in swaps for line in _lost(composed, group, option, keys))
    return [*dropped, *lost]


def _lost(composed: Composed, group: str, option: str, keys: list[str]) -> Iterator[str]:
    part = group.replace("/", ".")
    node: Any = composed.config
    for key in part.split("."):
        node = node.get(key) if isinstance(node, Mapping) else None
    origins = composed.composition.origins
    for path, value in leaves(node, part) if isinstance(node, Mapping) else ():
        lines = [] if path == f"{part}.name" or path in keys else origins.lines(path)
        lines = [line for line in lines if not _is_in_group(line[0], group)]
        if lines and lines[-1][1] != "" and not _is_text_of(lines[-1][1], value):
            origin, before = lines[-1]
            yield (
                f"{path}: is {value_text(value)}, as '{option}' has it; the part that it replaces "
                f"had {before} ({origin}). To keep that: {path}={before.replace(' ', '')}"
            )


def _is_in_group(origin: Origin, group: str) -> bool:
    """Whether a page is an option of a group; Hydra reads only the one that replaces the part."""
    return origin.file.parent.as_posix().endswith(f"/{group}")


def _is_text_of(text: str, value: Any) -> bool:
    """Whether the text of a page means this value: `true` and True, 1e1 and 10.0."""
    if text in (str(value), value_text(value)):
        return True
    try:
        return bool(yaml.safe_load(text) == value)
    except yaml.YAMLError:
        return False
