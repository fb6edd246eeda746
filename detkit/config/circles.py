"""Pages that include each other in a circle, found in the defaults lists that were read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

from detkit.config.syntax import shown


class Includes:
    """Which page includes which, as far as pages have been read."""

    def __init__(self) -> None:
        self._included: dict[str, list[str]] = {}
        self._files: dict[str, Path] = {}
        self._chosen: dict[str, str] = {}

    def record(self, config_path: str, file: Path, entries: Any) -> None:
        """Note the defaults list of a page."""
        self._included[config_path] = list(_included(config_path, entries, self._chosen))
        self._files[config_path] = file

    def start(self, words: list[str]) -> None:
        """Forget all pages, before a composition in which these words choose options of groups."""
        self._included.clear()
        self._files.clear()
        self._chosen = dict(word.lstrip("+").split("=", 1) for word in words if "=" in word)

    def circle(self) -> str | None:
        """`a -> b -> a` with the files, where pages include each other; or None."""
        try:
            TopologicalSorter(self._included).prepare()
        except CycleError as error:
            circle = list(reversed(error.args[1]))
            files = dict.fromkeys(shown(self._files[page]) for page in circle)
            return f"{' -> '.join(circle)} ({', '.join(files)})"
        return None


def _included(config_path: str, entries: Any, chosen: Mapping[str, str]) -> Iterator[str]:
    """The pages that a defaults list names; of a group that the command line chose, its choice."""
    group = config_path.rpartition("/")[0]
    for entry in entries if isinstance(entries, list) else []:
        if isinstance(entry, Mapping):
            ((key, option),) = entry.items()
            if option is not None and "override" not in key.split():
                place = _absolute(key.split()[-1], group)
                yield f"{place}/{chosen.get(place, option)}"
        elif entry != "_self_":
            yield _absolute(entry, group)


def _absolute(path: str, group: str) -> str:
    return path[1:] if path.startswith("/") else f"{group}/{path}".lstrip("/")


includes = Includes()
