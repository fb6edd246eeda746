"""Flags of detkit's own among the words of a command."""

from __future__ import annotations


def without(words: list[str], *flags: str) -> tuple[list[str], set[str]]:
    """The words that are no such flags, and the flags that were there."""
    return [w for w in words if w not in flags], {w for w in words if w in flags}
