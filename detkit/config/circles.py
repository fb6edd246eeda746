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

    def record(self, config_path: str, file: Path, entries: Any) -> None:
        """Note the defaults list of a page."""
        self._included[config_path] = list(_included(config_path, entries))
        self._files[config_path] = file

    def clear(self) -> None:
        """Forget all pages, before a new composition."""
        self._included.clear()
        self._files.clear()

    def circle(self) -> str | None:
        """`a -> b -> a` with the files, where pages include each other; or None."""
        try:
            TopologicalSorter(self._included).prepare()
        except CycleError as error:
            circle = list(reversed(error.args[1]))
            files = dict.fromkeys(shown(self._files[page]) for page in circle)
            return f"{' -> '.join(circle)} ({', '.join(files)})"
        return None


def _included(config_path: str, entries: Any) -> Iterator[str]:
    group = config_path.rpartition("/")[0]
    for entry in entries if isinstance(entries, list) else []:
        for key, option in (entry if isinstance(entry, Mapping) else {"": entry}).items():
            words = str(key).split()
            if "override" in words or option in (None, "_self_"):
                continue
            place = words[-1] if words else ""
            for each in option if isinstance(option, list) else [option]:
                path = f"{place}/{each}" if place else str(each)
                yield path[1:] if path.startswith("/") else f"{group}/{path}".lstrip("/")


includes = Includes()
