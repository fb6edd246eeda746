"""Which page includes or overrides which other page, from their defaults lists."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

from detkit.files import display_path


class Includes:
    """The defaults lists of the pages that Hydra has read so far."""

    def __init__(self) -> None:
        self._included: dict[str, list[str]] = {}
        self._files: dict[str, Path] = {}
        self._choices: dict[str, str] = {}
        self._overridden: dict[str, list[str]] = {}

    def record(self, config_path: str, file: Path, entries: Any) -> None:
        """Record the defaults list of a page."""
        self._included[config_path] = list(_included(config_path, entries, self._choices))
        self._overridden[config_path] = list(_overridden(config_path, entries))
        self._files[config_path] = file

    def start(self, words: list[str]) -> None:
        """Forget all pages; the next ones are composed with these overrides."""
        self._included.clear()
        self._files.clear()
        self._overridden.clear()
        self._choices = dict(word.lstrip("+").split("=", 1) for word in words if "=" in word)
        self._choices |= {word[1:]: "null" for word in words if word.startswith("~")}

    def stronger_choice(self, group: str, config_path: str) -> str | None:
        """The source that overrides a page's choice for a group, or None.

        This is the command line, or a page that includes this one and overrides the group.
        """
        if group in self._choices:
            return f"{group}={self._choices[group]}"
        outer = (page for page, groups in self._overridden.items() if group in groups)
        page = next((page for page in outer if self._includes(page, config_path)), None)
        return (
            None if page is None else f"the choice of {group} in {display_path(self._files[page])}"
        )

    def _includes(self, outer: str, inner: str) -> bool:
        """Whether one page includes another, directly or through others."""
        seen, waiting = {outer}, [outer]
        while waiting:
            new = set(self._included.get(waiting.pop(), ())) - seen
            if inner in new:
                return True
            seen |= new
            waiting += new
        return False

    def cycle(self) -> str | None:
        """`a -> b -> a` and the files if pages include each other, else None."""
        try:
            TopologicalSorter(self._included).prepare()
        except CycleError as error:
            cycle = list(reversed(error.args[1]))
            files = dict.fromkeys(display_path(self._files[page]) for page in cycle)
            return f"{' -> '.join(cycle)} ({', '.join(files)})"
        return None


def _included(config_path: str, entries: Any, choices: Mapping[str, str]) -> Iterator[str]:
    """The pages in a defaults list; the command line's choice of a group replaces the page's."""
    group = config_path.rpartition("/")[0]
    for entry in entries if isinstance(entries, list) else []:
        if isinstance(entry, Mapping):
            ((key, option),) = entry.items()
            if option is not None and "override" not in key.split():
                target = _absolute(key.split()[-1], group)
                yield f"{target}/{choices.get(target, option)}"
        elif entry != "_self_":
            yield _absolute(entry, group)


def _overridden(config_path: str, entries: Any) -> Iterator[str]:
    """The groups that a defaults list overrides."""
    group = config_path.rpartition("/")[0]
    for entry in entries if isinstance(entries, list) else []:
        for key in entry if isinstance(entry, Mapping) else ():
            *words, name = str(key).split()
            if "override" in words:
                yield _absolute(name, group)


def _absolute(path: str, group: str) -> str:
    return path[1:] if path.startswith("/") else f"{group}/{path}".lstrip("/")
