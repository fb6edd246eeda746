"""Tab completion: the command's own word here, everything after it through Hydra.

The shell function that Hydra installs calls `detkit -sc query=SHELL` with the typed line in
COMP_LINE. Hydra takes the first word for the program, so the command is taken out of the line.
"""

from __future__ import annotations

import os

from detkit import registry

COMPOSING = ("train", "evaluate", "predict", "config")
_LINE = "COMP_LINE"


def complete(words: list[str], commands: list[str]) -> list[str]:
    """Answer a completion request, or return the words with which Hydra answers it."""
    if not any(word.startswith("query=") for word in words):
        return ["train", *words]  # install and uninstall
    typed = os.environ.get(_LINE, "").split(" ")
    done, current = [word for word in typed[:-1] if word], typed[-1]
    if not done[1:]:
        print("\n".join(name for name in commands if name.startswith(current)))
        return []
    program, command, *rest = done
    if command not in COMPOSING:
        print("\n".join(name for name in _names(command, rest) if name.startswith(current)))
        return []
    os.environ[_LINE] = " ".join([program, *rest, current])
    return ["train", *words]


def _names(command: str, rest: list[str]) -> list[str]:
    """What may follow `list` and `describe`."""
    if command in ("list", "describe") and not rest:
        return list(registry.FAMILIES)
    if command == "describe" and len(rest) == 1 and rest[0] in registry.FAMILIES:
        return registry.names(rest[0])
    return []
