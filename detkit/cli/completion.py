"""Tab completion: the command's own word here, everything after it through Hydra.

The shell function that Hydra installs calls `detkit -sc query=SHELL` with the typed line in
COMP_LINE. Hydra takes the first word for the program, so the command is taken out of the line.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from detkit import registry
from detkit.config.page_list import page_groups

COMPOSING = ("train", "evaluate", "predict", "config", "plan", "sweep", "benchmark")
_LINE = "COMP_LINE"


def complete(
    words: list[str], commands: list[str], verbs: Mapping[str, Sequence[str]] | None = None
) -> list[str]:
    """Answer a completion request, or return the words with which Hydra answers it.

    Args:
        words: Those of the shell function.
        commands: All commands.
        verbs: Command to the verbs that may follow it.
    """
    if not any(word.startswith("query=") for word in words):
        return ["train", *words]  # install and uninstall
    typed = os.environ.get(_LINE, "").split(" ")
    done, current = [word for word in typed[:-1] if word], typed[-1]
    if not done[1:]:
        print("\n".join(name for name in commands if name.startswith(current)))
        return []
    program, command, *rest = done
    if command not in COMPOSING:
        known = _names(command, rest) or ([] if rest else (verbs or {}).get(command, []))
        print("\n".join(name for name in known if name.startswith(current)))
        return []
    os.environ[_LINE] = " ".join([program, *rest, current])
    return ["train", *words]


def _names(command: str, rest: list[str]) -> list[str]:
    """What may follow `list`, `describe`, `plugin new` and `plugin check`."""
    if (command, rest) == ("plugin", ["check"]):
        registry.load_plugins()
        parts = [registry.part(f, name) for f in registry.FAMILIES for name in registry.names(f)]
        return [f"{part.family}/{part.name}" for part in parts if part.plugin is not None]
    if (command, rest) == ("list", []):
        return [*page_groups(), *registry.FAMILIES]
    if (command, rest) in (("describe", []), ("plugin", ["new"])):
        return list(registry.FAMILIES)
    if command == "describe" and len(rest) == 1 and rest[0] in registry.FAMILIES:
        registry.load_plugins()
        return registry.names(rest[0])
    return []
