"""Overrides as text: a value in Hydra's grammar, and the value that an override sets."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from hydra.core.override_parser.types import Quote, QuotedString

_BARE = re.compile(r"[A-Za-z_][\w.-]*")
_OTHER_TYPES = {"null", "true", "false", "nan", "inf"}  # words that Hydra reads as another type


def override_text(value: Any) -> str:
    """The text after `=` that Hydra parses back into a plain value."""
    if value is None or isinstance(value, bool):
        return json.dumps(value)
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, Mapping):
        pairs = (f"{key}: {override_text(inner)}" for key, inner in value.items())
        return f"{{{', '.join(pairs)}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(override_text, value))}]"
    text = str(value)
    if _BARE.fullmatch(text) and text.lower() not in _OTHER_TYPES:
        return text
    return QuotedString(text, Quote.single).with_quotes()


def value_of(overrides: Iterable[str], key: str) -> str | None:
    """The text that `key=value` among the overrides sets, or None."""
    for word in overrides:
        name, separator, value = word.lstrip("+").partition("=")
        if separator and name == key:
            return value.strip("'\"")
    return None
