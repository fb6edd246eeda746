"""Numbers of things in words."""

from __future__ import annotations

from detkit.wording import counted, plural

__all__ = ["counted", "plural"]
