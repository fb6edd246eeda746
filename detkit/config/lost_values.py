"""Page settings that are lost when the command line replaces their part."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from detkit.config.argument_lookup import leaves
from detkit.config.compose import Composed
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
    keys = [parse(word).key_or_group for word in hydra_words(typed)]
    groups = [key for key in keys if "/" in key and is_group(key)]
    dropped = [
        f"{choice} discards these settings of {display_path(file)}: {', '.join(paths)}"
        for choice, file, paths in composed.composition.origins.dropped()
    ]
    lost = (line for group in groups for line in _lost(composed, group.replace("/", "."), keys))
    return [*dropped, *lost]


def _lost(composed: Composed, part: str, keys: list[str]) -> Iterator[str]:
    node: Any = composed.config
    for key in part.split("."):
        node = node.get(key) if isinstance(node, Mapping) else None
    origins = composed.composition.origins
    for path, value in leaves(node, part) if isinstance(node, Mapping) else ():
        lines = [] if path == f"{part}.name" or path in keys else origins.lines(path)
        if lines and lines[-1][1] not in ("", str(value)):
            origin, before = lines[-1]
            yield (
                f"{path}: is {value}, as '{node['name']}' has it; the part that it replaces had "
                f"{before} ({origin}). To keep that: {path}={before.replace(' ', '')}"
            )
