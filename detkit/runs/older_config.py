"""Bring a saved configuration up to date with the keys of this version of detkit.

Every configuration that is read from a run folder, a checkpoint or a bundle passes through
`with_current_keys`, so that runs of earlier versions open.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from detkit.config.earlier_versions import with_head_parts

# Applied in this order; each returns the configuration unchanged if it has none of its old keys.
TRANSLATIONS: tuple[Callable[[dict[str, Any]], dict[str, Any]], ...] = (with_head_parts,)


def with_current_keys(config: dict[str, Any]) -> dict[str, Any]:
    """A saved configuration with the keys that this version uses; the argument is not changed."""
    for translate in TRANSLATIONS:
        config = translate(config)
    return config
