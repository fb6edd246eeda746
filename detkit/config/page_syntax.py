"""Read the text of a page as YAML; refuse anything but plain data, with its line."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import yaml

from detkit.errors import ConfigError
from detkit.files import display_path

LARGEST = 256_000  # bytes; detkit's own pages have fewer than 4,000
DEEPEST = 40
MOST_VALUES = 20_000  # after aliases are written out, so that a few lines cannot fill the memory
_STANDARD = "tag:yaml.org,2002:"
_PLAIN = {f"{_STANDARD}{kind}" for kind in ("str", "int", "float", "bool", "null", "map", "seq")}
_PLAIN |= {f"{_STANDARD}{kind}" for kind in ("merge", "value", "timestamp")}
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def read_text(file: Path) -> str:
    """The text of a page.

    Raises:
        ConfigError: It is too long, cannot be read, or is not UTF-8.
    """
    try:
        content = file.read_bytes() if file.stat().st_size <= LARGEST else None
    except OSError as error:
        raise ConfigError([f"{display_path(file)}: cannot be read: {error.strerror}."]) from error
    if content is None:
        raise ConfigError(
            [
                f"{display_path(file)}: has {file.stat().st_size:,} bytes; a page of configuration "
                f"has at most {LARGEST:,}. Keep data in data files and name them in the page."
            ]
        )
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise ConfigError(
            [f"{display_path(file)}, line {line}: is not UTF-8 text: save the page as UTF-8."]
        ) from error


def parse(file: Path, text: str) -> yaml.MappingNode | None:
    """The syntax tree of a page with the line of every key; None for an empty page.

    Raises:
        ConfigError: It is not YAML, not a mapping, holds a key twice, an object of a programming
            language, or more than a page can sensibly hold.
    """
    try:
        node = yaml.compose(text, Loader=_Loader)
    except yaml.YAMLError as error:
        raise ConfigError([_syntax_error(file, text, error)]) from error
    except RecursionError as error:
        raise ConfigError([f"{display_path(file)}: is {_TOO_DEEP}"]) from error
    if node is None or (isinstance(node, yaml.ScalarNode) and node.tag == f"{_STANDARD}null"):
        return None
    if not isinstance(node, yaml.MappingNode):
        kind = "a list" if isinstance(node, yaml.SequenceNode) else "a single value"
        raise ConfigError(
            [f"{display_path(file)}: a page must be a mapping of keys to values, got {kind}."]
        )
    _Tree(file).visit(node, 1, ())
    return node


_TOO_DEEP = f"nested more than {DEEPEST} levels deep: write it flatter."


def _syntax_error(file: Path, text: str, error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or getattr(error, "reason", None) or str(error)
    location = (
        f"{display_path(file)}, line {mark.line + 1}" if mark is not None else display_path(file)
    )
    if "nesting depth" in problem:  # libyaml's own limit, which some builds of it have
        return f"{location}: is {_TOO_DEEP}"
    line = text.splitlines()[mark.line : mark.line + 1] if mark is not None else []
    hint = " Indent with spaces, not with tabs." if "\t" in "".join(line) else ""
    if re.search(r"{[^\"']*: *\${", "".join(line)):
        hint = ' Inside braces an interpolation needs quotes: "${...}".'
    context = getattr(error, "context", None)
    return (
        f"{location}: this is not valid YAML: {f'{context}, ' if context else ''}{problem}.{hint}"
    )


class _Tree:
    """Walks a page's syntax tree and refuses anything but plain data."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._sizes: dict[int, int] = {}
        self._open: set[int] = set()

    def _refuse(self, node: yaml.Node, message: str) -> ConfigError:
        return ConfigError(
            [f"{display_path(self._file)}, line {node.start_mark.line + 1}: {message}"]
        )

    def visit(self, node: yaml.Node, depth: int, path: tuple[str, ...]) -> int:
        """The number of values under a node, aliases written out."""
        if id(node) in self._open:
            raise self._refuse(node, "a value holds itself: take the alias out.")
        if id(node) in self._sizes:
            return self._sizes[id(node)]
        if depth > DEEPEST:
            raise self._refuse(node, f"is {_TOO_DEEP}")
        if node.tag not in _PLAIN:
            tag = node.tag.replace(_STANDARD, "!!")
            raise self._refuse(
                node, f"the tag '{tag}' is refused: a page holds plain values, no objects."
            )
        self._open.add(id(node))
        size = 1 + sum(self.visit(*child) for child in self._children(node, depth + 1, path))
        self._open.remove(id(node))
        if size > MOST_VALUES:
            raise self._refuse(
                node, f"holds more than {MOST_VALUES:,} values once its aliases are written out."
            )
        self._sizes[id(node)] = size
        return size

    def _children(
        self, node: yaml.Node, depth: int, path: tuple[str, ...]
    ) -> list[tuple[yaml.Node, int, tuple[str, ...]]]:
        if isinstance(node, yaml.SequenceNode):
            return [(item, depth, path) for item in node.value]
        if not isinstance(node, yaml.MappingNode):
            return []
        lines: dict[str, int] = {}
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise self._refuse(key, "a key must be a word, not a list or mapping.")
            name = ".".join((*path, key.value))
            if key.value in lines and key.value != "<<":
                raise self._refuse(
                    key,
                    f"the key '{name}' is already on line {lines[key.value]}: keep one of the two.",
                )
            lines[key.value] = key.start_mark.line + 1
        keys = [(key, depth, path) for key, _ in node.value]
        return keys + [(value, depth, (*path, key.value)) for key, value in node.value]
