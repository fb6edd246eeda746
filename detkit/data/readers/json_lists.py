"""A large JSON object read list by list, so that memory holds one entry of a list at a time."""

from __future__ import annotations

import json
import mmap
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

_SPACE = re.compile(r"[ \t\n\r]*")
_DECODER = json.JSONDecoder()


class UnreadableJsonError(Exception):
    """A file that is no JSON object; says why, with line and column where it is broken."""


def read_object(file: Path, entries: Mapping[str, Callable[[Any], None]]) -> dict[str, str]:
    """Hand each entry of some of the lists of a JSON object to a function of its own.

    `json.load` holds all of a file as Python objects at once, five to ten times its size.

    Args:
        file: The file.
        entries: By key of the object, the function that takes an entry of its list.

    Returns:
        By key, the JSON type of each of its values ("list", "object", "null", ...).

    Raises:
        UnreadableJsonError: The file is no JSON, or holds something other than an object.
    """
    try:
        text = _text(file)
        return _read(text, entries)
    except json.JSONDecodeError as error:
        raise UnreadableJsonError(str(error)) from error
    except RecursionError as error:
        raise UnreadableJsonError("its brackets are nested too deeply") from error
    except (OSError, ValueError) as error:
        raise UnreadableJsonError(str(error)) from error


def _text(file: Path) -> str:
    if not file.stat().st_size:
        raise ValueError("the file is empty")
    with (
        file.open("rb") as stream,
        mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content,
    ):
        # from the mapped file, as its bytes would need the same memory once more
        return str(content, json.detect_encoding(content[:4]))


def _read(text: str, entries: Mapping[str, Callable[[Any], None]]) -> dict[str, str]:
    place = _skip(text, 0)
    if text[place : place + 1] != "{":
        kind = {"[": "a list", '"': "a string"}.get(text[place : place + 1], "another value")
        raise UnreadableJsonError(f"it holds {kind} where an object {{...}} is expected")
    kinds: dict[str, str] = {}
    place = _skip(text, place + 1)
    while text[place : place + 1] != "}":
        key, place = _DECODER.raw_decode(text, place)
        if not isinstance(key, str):
            raise json.JSONDecodeError("Expecting a property name in quotes", text, place)
        place = _skip(text, _expect(text, place, ":"))
        take = entries.get(key)
        if take is not None and text[place : place + 1] == "[":
            place = _read_list(text, place, take)
            kinds[key] = "list"
        else:
            value, place = _DECODER.raw_decode(text, place)
            kinds[key] = _kind(value)
        place = _next(text, place, "}")
    if _skip(text, place + 1) != len(text):
        raise json.JSONDecodeError("Extra data", text, place + 1)
    return kinds


def _read_list(text: str, place: int, take: Callable[[Any], None]) -> int:
    """Hand on the entries of a list; returns the place behind it."""
    decode, skip = _DECODER.raw_decode, _SPACE.match
    place = _skip(text, place + 1)
    while text[place : place + 1] != "]":
        entry, place = decode(text, place)
        take(entry)
        if text.startswith(",", place):  # the common case, without a call
            place = skip(text, place + 1).end()  # type: ignore[union-attr]
        else:
            place = _next(text, place, "]")
    return place + 1


def _next(text: str, place: int, closing: str) -> int:
    """The place of the next entry, or of the closing bracket."""
    place = _skip(text, place)
    if text.startswith(closing, place):
        return place
    place = _skip(text, _expect(text, place, ","))
    if text.startswith(closing, place):
        raise json.JSONDecodeError("Illegal trailing comma", text, place)
    return place


def _expect(text: str, place: int, sign: str) -> int:
    """The place behind a sign that has to come next."""
    place = _skip(text, place)
    if not text.startswith(sign, place):
        raise json.JSONDecodeError(f"Expecting '{sign}' delimiter", text, place)
    return place + 1


def _skip(text: str, place: int) -> int:
    match = _SPACE.match(text, place)
    return match.end() if match is not None else place


def _kind(value: Any) -> str:
    names = {dict: "object", list: "list", str: "string", bool: "boolean", type(None): "null"}
    return names.get(type(value), "number")
