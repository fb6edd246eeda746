"""Numbers of things in words."""

from __future__ import annotations

_PLURALS = {"box": "boxes", "class": "classes"}


def counted(count: int, noun: str) -> str:
    """A number and what it counts: "1 box", "1,200 crowd objects"."""
    return f"{count:,} {noun if count == 1 else plural(noun)}"


def plural(noun: str) -> str:
    """The plural of a word, or of several that end in it."""
    *before, last = noun.split(" ")
    return " ".join([*before, _PLURALS.get(last, f"{last}s")])
