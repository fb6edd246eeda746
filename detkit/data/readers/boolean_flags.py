"""Boolean flags in annotation files, as different tools write them."""

from __future__ import annotations

_TRUE_WORDS = ("1", "true", "yes", "y", "t")


def is_true(text: str) -> bool:
    """Whether a flag's text means true: "1", "1.0", "true", "True", "yes"."""
    word = text.strip().lower()
    try:
        return word in _TRUE_WORDS or float(word) == 1
    except ValueError:
        return False
