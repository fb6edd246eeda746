"""The git commit of a folder, and whether its files differ from the commit."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path
from typing import Any

# Without the programs that the settings of a repository could make git run.
_GIT = ("git", "-c", "core.fsmonitor=false", "--no-optional-locks", "--no-pager")
_SECONDS = 20


def code_state(folder: Path) -> dict[str, Any] | None:
    """Commit and changes of the repository that contains a folder, or None outside of one.

    `changed` counts the tracked files that differ from the commit, and `changes` is a hash of the
    difference. Untracked files are ignored.
    """
    try:
        if _git(folder, "check-ignore", "-q", ".", allowed=(0, 1, 128))[0] == 0:
            return None  # installed inside another repository, which ignores it
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
