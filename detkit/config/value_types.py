"""Check values of YAML against annotated types, and describe types to users.

YAML is checked as strict JSON: `3` fits a float, but `true` is no int, `"3"` is no number and `3`
is no text. Infinity is a number, NaN is not.
"""

from __future__ import annotations

import json
import math
import re
import types
from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin

from annotated_types import Predicate

from detkit.errors import UserError

if TYPE_CHECKING:
    from pydantic import TypeAdapter

_PLAIN: dict[Any, str] = {
    int: "int",
    float: "float",
    str: "text",
    bool: "true or false",
    type(None): "null",
    Any: "anything",
    list: "list",
    dict: "mapping",
}
_LIMITS = {"gt": ">", "ge": ">=", "lt": "<", "le": "<="}
# What YAML reads as a number, a truth value or null unless it is quoted.
_NEEDS_QUOTES = re.compile(r"[-+.\d][\w.+-]*|y|n|yes|no|on|off|true|false|null|~|", re.IGNORECASE)


def type_text(annotation: Any) -> str:
    """A short text for a type, such as `int > 0`, `float 0..1`, `relu | exp` or `list of int`."""
    if annotation in _PLAIN:
        return _PLAIN[annotation]
    inner = get_args(annotation)
    if get_origin(annotation) is Annotated:
        return _with_limits(type_text(inner[0]), inner[1:])
    if get_origin(annotation) is Literal:
        return " | ".join(literal_text(value) for value in inner)
    if is_union(annotation):
        return " or ".join(type_text(member) for member in inner)
    if get_origin(annotation) in (list, tuple, dict):
        return _container_text(annotation)
    return str(getattr(annotation, "__name__", annotation))


def _container_text(annotation: Any) -> str:
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is dict:
        return f"mapping of {type_text(inner[0])} to {type_text(inner[1])}"
    if origin is tuple and inner[-1] is not Ellipsis:
        return f"[{', '.join(type_text(member) for member in inner)}]"
    return f"list of {type_text(inner[0])}"


def is_union(annotation: Any) -> bool:
    """Whether a type is `A | B`, written in either way."""
    return get_origin(annotation) in (Union, types.UnionType)


def check_value(annotation: Any, value: Any) -> str | None:
    """The expected type as text if a value of YAML does not fit it, else None."""
    if not _is_plain(value):
        return type_text(annotation)
    from pydantic import ValidationError

    try:
        _adapter(annotation).validate_json(json.dumps(value), strict=True)
    except ValidationError as error:
        return type_text(annotation) + _wrong_item(annotation, value, error.errors()[0]["loc"])
    return None


def convert(annotation: Any, value: Any) -> Any:
    """Convert a value to its type: a list to a tuple, an int to a float.

    Raises:
        UserError: The value does not fit.
    """
    expected = check_value(annotation, value)
    if expected is not None:
        raise UserError(f"got {value!r}, expected {expected}")
    return _adapter(annotation).validate_json(json.dumps(value), strict=True)


def unwritable(annotation: Any) -> Any | None:
    """The first type inside an annotation that YAML cannot hold, or None."""
    if annotation in _PLAIN or get_origin(annotation) is Literal or annotation is Ellipsis:
        return None
    origin, inner = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return unwritable(inner[0])
    if origin is dict and inner[0] is not str:
        return annotation
    if is_union(annotation) or origin in (list, tuple, dict):
        return next((t for t in map(unwritable, inner) if t is not None), None)
    return annotation


@cache
def _adapter(annotation: Any) -> TypeAdapter[Any]:
    from pydantic import TypeAdapter  # takes 60 ms, so it is imported only to check values

    return TypeAdapter(annotation)


def _is_plain(value: Any) -> bool:
    """Whether JSON can hold a value without changing it; NaN fits nothing."""
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_plain(inner) for key, inner in value.items())
    if isinstance(value, list | tuple):
        return all(map(_is_plain, value))
    if isinstance(value, float):
        return not math.isnan(value)
    return value is None or isinstance(value, bool | int | str)


def _wrong_item(annotation: Any, value: Any, location: tuple[int | str, ...]) -> str:
    if get_origin(annotation) not in (list, tuple) or not location or not isinstance(value, list):
        return ""
    index = location[0]
    if not isinstance(index, int) or index >= len(value):
        return ""
    return f" (item {index + 1} is {value[index]!r})"


def literal_text(value: Any) -> str:
    """A plain value as YAML, with quotes around text that YAML would read as another type."""
    if isinstance(value, str):
        return f'"{value}"' if _NEEDS_QUOTES.fullmatch(value) else value
    return str(json.dumps(value))


def _with_limits(text: str, metadata: tuple[Any, ...]) -> str:
    adjectives = (mark.func.__name__ for mark in metadata if isinstance(mark, Predicate))
    text = " ".join([*adjectives, text])
    limits = dict(_limits(metadata))
    if limits.keys() == {">=", "<="}:
        return f"{text} {limits['>=']}..{limits['<=']}"
    parts = " and ".join(f"{sign} {bound}" for sign, bound in limits.items())
    return f"{text} {parts}" if parts else text


def _limits(metadata: tuple[Any, ...]) -> Iterator[tuple[str, Any]]:
    for mark in metadata:
        for attribute, sign in _LIMITS.items():
            bound = getattr(mark, attribute, None)
            if bound is not None:
                yield sign, bound
        shortest = getattr(mark, "min_length", None)
        if shortest:
            yield "with at least", f"{shortest} items"
