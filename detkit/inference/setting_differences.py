"""What differs between the settings of two parts of a prediction, in words."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from detkit.text import shortened

_LONGEST = 40  # letters of a value
_MOST = 8  # differences to list
_ABSENT = "none"


def setting_differences(earlier: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Texts such as `score_threshold: 0.3 -> 0.5`, the first ones if there are many.

    Nested keys are joined by dots.
    """
    before, after = dict(_flat(earlier)), dict(_flat(now))
    keys = [key for key in {**before, **after} if before.get(key) != after.get(key)]
    texts = [f"{key}: {_text(before, key)} -> {_text(after, key)}" for key in keys[:_MOST]]
    more = len(keys) - len(texts)
    return [*texts, f"and {more} more"] if more else texts


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _text(values: Mapping[str, Any], key: str) -> str:
    if key not in values:
        return _ABSENT
    value = values[key]
    return shortened(value if isinstance(value, str) else json.dumps(value), _LONGEST)
