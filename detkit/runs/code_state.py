"""The commit that a folder is at, and whether its files differ from it."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path
from typing import Any

# What a repository's own settings could make git run is left out.
_GIT = ("git", "-c", "core.fsmonitor=false", "--no-optional-locks", "--no-pager")
_SECONDS = 20


def code_state(folder: Path) -> dict[str, Any] | None:
    """Commit and changes of the repository that a folder is in, or None where it is in none.

    `changed` counts the tracked files that differ from the commit, and `changes` is a hash of the
    difference, equal for equal changes; files that git does not track are not looked at.
    """
    try:
        if _git(folder, "check-ignore", "-q", ".", allowed=(0, 1, 128))[0] == 0:
            return None  # installed into somebody else's repository
        commit = _git(folder, "rev-parse", "HEAD")[1].decode().strip()
        difference = _git(folder, "diff", "HEAD", "--no-ext-diff", "--no-textconv", "--binary")[1]
        names = _git(folder, "diff", "HEAD", "--name-only", "-z", "--no-ext-diff")[1]
    except (OSError, subprocess.SubprocessError):
        return None
    changed = len(names.split(b"\0")) - 1
    state: dict[str, Any] = {"commit": commit, "changed": changed}
    if changed:
        state["changes"] = hashlib.sha256(difference).hexdigest()[:16]
    return state


def _git(folder: Path, *arguments: str, allowed: tuple[int, ...] = (0,)) -> tuple[int, bytes]:
    done = subprocess.run(
        [*_GIT, *arguments], cwd=folder, capture_output=True, timeout=_SECONDS, check=False
    )
    if done.returncode not in allowed:
        raise subprocess.CalledProcessError(done.returncode, done.args)
    return done.returncode, done.stdout
