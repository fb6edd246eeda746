"""Expand `~` in the paths of a configuration, since no shell expands it in a page."""

from __future__ import annotations

import os
from typing import Any

_PATHS = ("ckpt", "weights", "source", "output", "run_folder", "file", "detections")


def expand_home(config: dict[str, Any]) -> None:
    """Expand `~` in the paths of a complete configuration, in place."""
    blocks = [(config, key) for key in _PATHS] + [(config.get("data") or {}, "path")]
    for block, key in blocks:
        if isinstance(block.get(key), str):
            block[key] = os.path.expanduser(block[key])
    if isinstance(config.get("plugins"), list):
        config["plugins"] = [os.path.expanduser(str(plugin)) for plugin in config["plugins"]]
