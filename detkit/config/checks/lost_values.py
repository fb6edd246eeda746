"""What a page said of a part that the command line replaced, where the new part has it too."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from detkit.config.argument_lookup import leaves
from detkit.config.origins import origins
from detkit.config.overrides import is_group, parse
from detkit.config.page_syntax import shown
from detkit.config.part_overrides import hydra_words


def lost_values(config: Mapping[str, Any], words: list[str]) -> list[str]:
    """A line for each value and each list of labels that a page sets without effect.

    A swap removes the old part completely. If both parts have an argument, such as `levels` of
    backbones, the page's value for it was often meant for the detector, not for the part.

    Args:
        config: The composed configuration, complete.
        words: The command line's words.
    """
    typed = [word for word in words if "=" in word and not word.startswith(("~", "-"))]
    keys = [parse(word).key_or_group for word in hydra_words(typed)]
    groups = [key for key in keys if "/" in key and is_group(key)]
    dropped = [
        f"{choice} discards these settings of {shown(file)}: {', '.join(paths)}"
        for choice, file, paths in origins.dropped()
    ]
    lost = (line for group in groups for line in _lost(config, group.replace("/", "."), keys))
    return [*dropped, *lost]


def _lost(config: Mapping[str, Any], part: str, keys: list[str]) -> Iterator[str]:
    node: Any = config
    for key in part.split("."):
        node = node.get(key) if isinstance(node, Mapping) else None
    for path, value in leaves(node, part) if isinstance(node, Mapping) else ():
        lines = [] if path == f"{part}.name" or path in keys else origins.lines(path)
        if lines and lines[-1][1] not in ("", str(value)):
            origin, before = lines[-1]
            yield (
                f"{path}: is {value}, as '{node['name']}' has it; the part that it replaces had "
                f"{before} ({origin}). To keep that: {path}={before.replace(' ', '')}"
            )
