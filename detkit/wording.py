"""Counts and durations in words."""

from __future__ import annotations

_PLURALS = {
    "batch": "batches",
    "box": "boxes",
    "class": "classes",
    "entry": "entries",
    "process": "processes",
}
_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_FEW_MINUTES = 10


def counted(count: int, noun: str) -> str:
    """A number and what it counts: "1 box", "1,200 crowd objects"."""
    return f"{count:,} {noun if count == 1 else plural(noun)}"


def plural(noun: str) -> str:
    """The plural of a word, or of several that end in it."""
    *before, last = noun.split(" ")
    return " ".join([*before, _PLURALS.get(last, f"{last}s")])


def duration(seconds: float) -> str:
    """A duration in its largest units: "45 s", "3 min 20 s", "34 min", "2 h 5 min", "3 d 4 h"."""
    whole = max(round(seconds), 0)
    if whole < _MINUTE:
        return f"{whole} s"
    if whole < _FEW_MINUTES * _MINUTE:
        return _two_units(whole, (_MINUTE, "min"), (1, "s"))
    whole = round(whole / _MINUTE) * _MINUTE
    if whole < _HOUR:
        return f"{whole // _MINUTE} min"
    if whole < _DAY:
        return _two_units(whole, (_HOUR, "h"), (_MINUTE, "min"))
    return _two_units(round(whole / _HOUR) * _HOUR, (_DAY, "d"), (_HOUR, "h"))


def _two_units(seconds: int, large: tuple[int, str], small: tuple[int, str]) -> str:
    remainder = seconds % large[0] // small[0]
    return f"{seconds // large[0]} {large[1]}" + (f" {remainder} {small[1]}" if remainder else "")
