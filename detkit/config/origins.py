"""Where each value of a configuration was written: file and line, for messages."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml


@dataclass(frozen=True)
class Origin:
    """A place in a page.

    Attributes:
        file: The YAML file.
        line: Line number, from 1.
    """

    file: Path
    line: int

    def __str__(self) -> str:
        path = self.file
        if path.is_relative_to(Path.cwd()):
            path = path.relative_to(Path.cwd())
        return f"{path}, line {self.line}"


class Origins:
    """The places where each config path was written, in the order in which Hydra read the pages."""

    def __init__(self) -> None:
        self._places: dict[str, list[tuple[Origin, str]]] = {}

    def record(self, file: Path, tree: yaml.Node | None, prefix: tuple[str, ...]) -> None:
        """Note the line of every key of a page whose body lands under a prefix."""
        for path, line, written in _key_lines(tree, prefix):
            self._places.setdefault(".".join(path), []).append((Origin(file, line), written))

    def find(self, path: str, value: object = None) -> Origin | None:
        """Where a config path was written, of several places one that wrote this value; or None."""
        places = self._places.get(path, [])
        fitting = [origin for origin, written in places if written == str(value)]
        return next(iter(fitting + [origin for origin, _ in places]), None)

    def clear(self) -> None:
        """Forget all places, before a new composition."""
        self._places.clear()


def _key_lines(
    node: yaml.Node | None, prefix: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], int, str]]:
    if not isinstance(node, yaml.MappingNode):
        return
    for key, value in node.value:
        path = (*prefix, str(key.value))
        written = value.value if isinstance(value, yaml.ScalarNode) else ""
        yield path, key.start_mark.line + 1, written
        yield from _key_lines(value, path)


origins = Origins()
