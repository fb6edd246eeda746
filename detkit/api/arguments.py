"""Check the arguments that programs pass, so that a mistake is named before anything uses it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from detkit.errors import UserError

_SECTIONS = {"model", "data", "augmentation"}  # every configuration of a training has them


def override_list(overrides: Iterable[str]) -> list[str]:
    """Copy overrides to a list.

    Raises:
        UserError: They are not a list of strings; a single string would be read as its letters.
    """
    is_collection = isinstance(overrides, Iterable) and not isinstance(
        overrides, str | bytes | Mapping
    )
    words = list(overrides) if is_collection else []
    if not is_collection or not all(isinstance(word, str) for word in words):
        raise UserError(f"overrides: expected a list of strings, got {overrides!r:.100}.")
    return words


def refuse_overrides(overrides: Sequence[str], remedies: Mapping[str, str]) -> None:
    """Refuse overrides of keys that have no effect in a program.

    Args:
        overrides: The overrides.
        remedies: For each such key, what to write instead.

    Raises:
        UserError: An override sets one of the keys.
    """
    for word in overrides:
        key = re.split("[=@]", word.lstrip("+~"), maxsplit=1)[0]
        if key in remedies:
            raise UserError(f"overrides: '{word}' has no effect here: {remedies[key]}.")


def require_config(config: Mapping[str, Any]) -> None:
    """Refuse what is not the configuration of a training.

    Raises:
        UserError: It is of another type, or lacks sections.
    """
    if not isinstance(config, Mapping) or not config.keys() >= _SECTIONS:
        raise UserError(
            f"config is a value of type {type(config).__name__} without the sections model, data "
            "and augmentation: pass the result of detkit.compose, or detkit.Run(...).config."
        )


def require_class_names(names: Sequence[str]) -> list[str]:
    """Copy class names to a list.

    Raises:
        UserError: They are not a list of different strings, or there are none.
    """
    is_list = isinstance(names, Sequence) and not isinstance(names, str)
    if not is_list or not names or not all(isinstance(name, str) for name in names):
        raise UserError(f"class_names: expected a list of names such as ['cat'], got {names!r}.")
    if len(set(names)) < len(names):
        repeated = next(name for name in names if list(names).count(name) > 1)
        raise UserError(f"class_names: '{repeated}' occurs more than once.")
    return list(names)


def require_score(threshold: Any) -> float:
    """Convert a threshold, which may also be a scalar of NumPy or PyTorch.

    Raises:
        UserError: It is not a number from 0 to 1.
    """
    is_number = hasattr(threshold, "__float__") and getattr(threshold, "ndim", 0) == 0
    if not is_number or isinstance(threshold, bool) or not 0 <= threshold <= 1:
        raise UserError(f"threshold is {threshold!r}; expected a score from 0 to 1.")
    return float(threshold)


def require_batch_size(batch_size: Any) -> int:
    """Convert a batch size to a Python integer.

    Raises:
        UserError: It is not a whole number from 1.
    """
    if not hasattr(batch_size, "__index__") or batch_size < 1:
        raise UserError(f"batch_size is {batch_size!r}; expected 1 or more.")
    return int(batch_size)
