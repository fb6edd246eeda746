"""Find the part in each slot from pages and words, without composing; for completion.

Composing needs Hydra and imports all parts, which would take seconds per completion. This module
reads only the named pages, and the defaults of constructors from their source text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from detkit import plugin_files, registry
from detkit.config.completion.static_schema import (
    StaticArgument,
    block_arguments,
    part_arguments,
    part_files,
    part_space,
)
from detkit.config.folders import page_folders
from detkit.runs.layout import RunFolder

Node = dict[str, Any]
_WORD = re.compile(r"[+]{0,2}([\w./-]+)=(.*)")
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


def folders() -> list[Path]:
    """The folders of pages, including those of plugins; imports no plugin."""
    brought = (plugin_files.pages_of(plugin) for plugin in plugin_files.discover())
    return [*page_folders(), *(folder for folder in brought if folder is not None)]


class Outline:
    """The parts of a configuration before it is composed.

    Args:
        root: The class of the root page in `detkit.config.root`.
        page: The root page; its defaults list holds the choices without words.
        words: The words typed so far.
    """

    def __init__(self, root: str, page: str, words: Sequence[str]) -> None:
        self._root = block_arguments(f"detkit.config.root:{root}")
        self._tree: Node = {}
        pairs = [(match[1], match[2]) for match in map(_WORD.fullmatch, words) if match]
        run = next((Path(value) for key, value in pairs if key in ("ckpt", "weights")), None)
        if run is not None and RunFolder(run).config.is_file():
            self._tree.update(_read(RunFolder(run).config))
        typed = dict(pairs)
        self._take_page("", page, typed)
        for group in ("sweep", "experiment", "debug"):
            self._take_page(group, typed.get(group, ""), typed)
        for key, value in pairs:
            self._choose(re.split(r"[./]", key), value)

    def arguments(self, path: Sequence[str]) -> dict[str, StaticArgument]:
        """The keys below a config path: arguments of its part or block, or its labels."""
        if not path:
            return self._root
        argument = self.argument(path)
        if argument is None:
            return {}
        if argument.block is not None:
            return block_arguments(argument.block)
        node = self._node(path)
        if argument.by_label:
            labels = node if isinstance(node, Mapping) else {}
            return {str(key): StaticArgument(str(key), argument.family) for key in labels}
        if argument.family is None:
            return {}
        name = StaticArgument("name", values=tuple(self.names(argument.family)))
        result = part_arguments(argument.family, self._name(node) or argument.default or "")
        return {"name": name, **result}

    def argument(self, path: Sequence[str]) -> StaticArgument | None:
        """The argument at a config path."""
        return self.arguments(path[:-1]).get(path[-1])

    @staticmethod
    def names(family: str, space: Sequence[str] = ()) -> list[str]:
        """The parts and pages of a family; for losses, only those that fit their slot's input."""
        parts = {name for owner, name in part_files() if owner == family}
        names = sorted({*parts, *page_names(f"model/{family}")})
        return [n for n in names if not space or part_space(family, n) in (None, *space)]

    def _node(self, path: Sequence[str]) -> Any:
        node: Any = self._tree
        for key in path:
            node = node.get(key) if isinstance(node, Mapping) else None
        return node

    @staticmethod
    def _name(node: Any) -> str | None:
        return node if isinstance(node, str) else (node or {}).get("name")

    def _take_page(self, group: str, option: str, typed: Mapping[str, str]) -> None:
        """Merge a page and the pages in its defaults list."""
        file = page_file(group, option)
        if file is None:
            return
        content = _read(file)
        entries = content.pop("defaults", None)
        for entry in entries if isinstance(entries, list) else []:
            if isinstance(entry, str) and entry != "_self_":
                self._take_page(group, entry, typed)
            elif isinstance(entry, dict):
                for key, selected in entry.items():
                    path = str(key).split()[-1].strip("/")
                    self._choose(path.split("/"), typed.get(path, selected))
        prefix = (
            group.split("/")
            if group and "# @package _global_" not in file.read_text("utf-8")
            else []
        )
        self._merge(prefix, content)

    def _choose(self, path: list[str], option: Any) -> None:
        """Put the page or part that a group's option names at a config path."""
        if not isinstance(option, str) or path[0] == "hydra":
            return
        file = page_file("/".join(path), option)
        if file is None:
            self._merge(path, option)
        elif path[0] in self._root:
            self._merge(path, None)
            self._take_page("/".join(path), option, {})

    def _merge(self, path: Sequence[str], value: Any) -> None:
        """Merge a value at a path; a mapping without a name tunes the existing part."""
        if isinstance(value, dict) and "name" not in value:
            for key, inner in value.items():
                self._merge([*path, str(key)], inner)
            return
        name = self._name(value) if isinstance(value, str | dict) and path else None
        if name and len(path) > 1 and page_file("/".join(path), name):
            self._merge(path, None)
            self._take_page("/".join(path), name, {})
            rest = (
                {key: inner for key, inner in value.items() if key != "name"}
                if isinstance(value, dict)
                else {}
            )
            self._merge(path, rest)
            return
        node: Any = self._tree
        for key in path[:-1]:
            inner = node.get(key)
            node[key] = inner = inner if isinstance(inner, dict) else {"name": inner}
            node = inner
        if path:
            node[path[-1]] = value


def page_file(group: str, option: str) -> Path | None:
    """The page that an option of a group names, or None."""
    paths = (folder / group / f"{option}.yaml" for folder in folders() if option)
    return next((path for path in paths if path.is_file()), None)


def page_names(group: str) -> Iterator[str]:
    """The pages of a group."""
    for folder in folders():
        for file in sorted((folder / group).rglob("*.yaml")):
            inner = file.relative_to(folder / group).with_suffix("")
            if not registry.FAMILIES.keys() & set(inner.parts[:-1]):  # model/head is a part's group
                yield inner.as_posix()


def _read(file: Path) -> Node:
    try:
        content = yaml.load(file.read_text(encoding="utf-8"), Loader=_Loader)  # safe
    except (OSError, UnicodeDecodeError, yaml.YAMLError):
        return {}
    return content if isinstance(content, dict) else {}
