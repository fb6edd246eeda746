"""File and line of each value of a configuration, for messages."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from detkit.files import display_path


@dataclass(frozen=True)
class Origin:
    """A line of a page.

    Attributes:
        file: The YAML file.
        line: Line number, from 1.
    """

    file: Path
    line: int

    def __str__(self) -> str:
        return f"{display_path(self.file)}, line {self.line}"


class Origins:
    """The pages and lines that set each config path, in the order in which Hydra read the pages."""

    def __init__(self) -> None:
        self._lines: dict[str, list[tuple[Origin, str]]] = {}
        self._choices: dict[str, list[tuple[Origin, str]]] = {}
        self._mappings: dict[str, tuple[Mapping[str, Any], Path | None]] = {}
        self._dropped: dict[tuple[str, Path], list[str]] = {}
        self._tuned_if_there: set[str] = set()

    def record(self, file: Path, tree: yaml.Node | None, prefix: tuple[str, ...]) -> None:
        """Record the line of each key in a page whose body is placed under a prefix."""
        for path, line, text in _key_lines(tree, prefix):
            self._lines.setdefault(".".join(path), []).append((Origin(file, line), text))
        for path, line, option in _choices(tree, prefix):
            self._choices.setdefault(".".join(path), []).append((Origin(file, line), option))

    def find(self, path: str, value: object = None) -> Origin | None:
        """The origin of a config path, preferably one that wrote this value; None if unknown."""
        entries = self._lines.get(path, [])
        fitting = [origin for origin, text in entries if text == str(value)]
        return next(iter([*fitting, *(origin for origin, _ in reversed(entries))]), None)

    def note(self, config_path: str, mapping: Mapping[str, Any], file: Path | None) -> None:
        """Record the mapping that Hydra gets for a config path, and its page."""
        self._mappings[config_path] = (mapping, file)

    def file_of(self, tag: str) -> Path | None:
        """The file of the page whose config path, joined by dashes, is a tag."""
        files = {path.replace("/", "-"): file for path, (_, file) in self._mappings.items()}
        return files.get(tag)

    def mapping_of(self, config_path: str) -> tuple[Mapping[str, Any], Path | None]:
        """The mapping that Hydra got for a config path, and its page."""
        return self._mappings.get(config_path, ({}, None))

    def lines(self, path: str) -> list[tuple[Origin, str]]:
        """Each line that sets a config path or chooses it in a defaults list, with its text."""
        return [*self._choices.get(path, []), *self._lines.get(path, [])]

    def drop(self, choice: str, file: Path, paths: list[str]) -> None:
        """Record config paths of a page that a stronger choice of their group replaces."""
        self._dropped[choice, file] = paths

    def dropped(self) -> Iterator[tuple[str, Path, list[str]]]:
        """(stronger choice, page, dropped config paths of the page)."""
        for (choice, file), paths in self._dropped.items():
            yield choice, file, paths

    def tune_if_there(self, path: str) -> None:
        """Record a label that a weaker page tunes and that the chosen page may lack."""
        self._tuned_if_there.add(path)

    def is_optional(self, path: str) -> bool:
        """Whether only a weaker page tunes a label."""
        return path in self._tuned_if_there


def in_both(page: Mapping[str, Any], node: Mapping[str, Any]) -> dict[str, Any]:
    """The values of a page that Hydra gets with it; parts moved to their groups are not."""
    common: dict[str, Any] = {}
    for key, value in page.items():
        if key in node and key != "defaults":
            both = isinstance(value, Mapping) and isinstance(node[key], Mapping)
            common[key] = in_both(value, node[key]) if both else value
    return common


def _key_lines(
    node: yaml.Node | None, prefix: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], int, str]]:
    if not isinstance(node, yaml.MappingNode):
        return
    for key, value in node.value:
        path = (*prefix, str(key.value))
        yield path, key.start_mark.line + 1, _text(value)
        yield from _key_lines(value, path)


def _text(node: yaml.Node) -> str:
    """The text of a scalar or of a list of scalars; empty for anything else."""
    if isinstance(node, yaml.ScalarNode):
        return str(node.value)
    items = node.value if isinstance(node, yaml.SequenceNode) else []
    plain = all(isinstance(item, yaml.ScalarNode) for item in items)
    return f"[{', '.join(item.value for item in items)}]" if items and plain else ""


def _choices(
    tree: yaml.Node | None, prefix: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], int, str]]:
    """The lines at which a page's defaults list chooses options of groups."""
    pairs = tree.value if isinstance(tree, yaml.MappingNode) else []
    lists = [value for key, value in pairs if key.value == "defaults"]
    for entry in lists[0].value if lists and isinstance(lists[0], yaml.SequenceNode) else []:
        for key, value in entry.value if isinstance(entry, yaml.MappingNode) else []:
            group = str(key.value).split(" ")[-1]
            path = tuple(group.strip("/").split("/"))
            whole = path if group.startswith("/") else (*prefix, *path)
            yield whole, key.start_mark.line + 1, str(value.value)
