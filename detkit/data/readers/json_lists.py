"""A large JSON object read list by list, so that memory holds a part of a list at a time."""

from __future__ import annotations

import codecs
import json
import mmap
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

_SPACE = re.compile(r"[ \t\n\r]*")
_BETWEEN = re.compile(rb"\}[ \t\n\r]*,[ \t\n\r]*(?=\{)")
_DECODER = json.JSONDecoder()
# Bytes that are looked at in one go. Parts of 4 MiB take three times as long as small ones: the
# garbage collector looks again and again at what is alive. Larger entries than a window are rare.
_WINDOW, _LARGE = 2**16, 2**22
_RETURNED = 2**24  # bytes that are given back to the system at once

Take = Callable[[Sequence[Any]], None]


class UnreadableJsonError(Exception):
    """A file that is not a JSON object; the message has the line and column of the error."""


def read_object(
    file: Path, entries: Mapping[str, Take], without: str | None = None
) -> dict[str, str]:
    """Pass the entries of some lists of a JSON object to one function per list, in parts.

    `json.load` holds all of a file as Python objects at once, five to ten times its size.

    Args:
        file: The file.
        entries: By key of the object, the function that takes entries of its list.
        without: Key of entries whose lists of lists of numbers nobody needs. They become [0], which
            takes a third of the time; what is wrong with these numbers is then not noticed.

    Returns:
        By key, the JSON type of each of its values ("list", "object", "null", ...).

    Raises:
        UnreadableJsonError: The file is no JSON, or holds something other than an object.
    """
    try:
        if not file.stat().st_size:
            raise ValueError("the file is empty")
        with (
            file.open("rb") as stream,
            mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as content,
        ):
            encoding = json.detect_encoding(content[:4])
            if encoding == "utf-8":
                return _Reader(content, without).read(entries)
            return _Reader(str(content, encoding).encode(), without).read(entries)
    except RecursionError as error:
        raise UnreadableJsonError("its brackets are nested too deeply") from error
    except (OSError, ValueError) as error:
        raise UnreadableJsonError(str(error)) from error


class _Reader:
    """Reads UTF-8 from front to back, through a window of text."""

    def __init__(self, content: mmap.mmap | bytes, without: str | None) -> None:
        self.content = content
        self.without = None if without is None else _numbers_of(without)
        self.instead = f'"{without}":[0]'.encode()
        self.start = 0  # where the window starts, in bytes
        self.text = ""
        self.place = 0  # in the window, in characters
        self.whole = False  # whether the window reaches to the end
        self.returned = 0  # bytes from the start that are given back
        self._look(_WINDOW)

    def read(self, entries: Mapping[str, Take]) -> dict[str, str]:
        """Read the object; returns the kinds of its values."""
        sign = self._sign()
        if sign != "{":
            kind = {"[": "a list", '"': "a string"}.get(sign, "another value")
            raise UnreadableJsonError(f"it holds {kind} where an object {{...}} is expected")
        kinds: dict[str, str] = {}
        self.place += 1
        while self._sign() != "}":
            key = self._value()
            if not isinstance(key, str):
                raise self._broken("Expecting a property name in quotes")
            self._expect(":")
            if key in entries and self._sign() == "[":
                self._list(entries[key])
                kinds[key] = "list"
            else:
                kinds[key] = _kind(self._value())
            self._next("}")
        self.place += 1
        if self._sign():
            raise self._broken("Extra data")
        return kinds

    def _list(self, take: Take) -> None:
        """Hand on the entries of a list; goes behind it."""
        self.place += 1
        while self._many(take, _WINDOW) or self._many(take, _LARGE):
            pass
        while self._sign() != "]":
            self._few(take)
        self.place += 1

    def _many(self, take: Take, size: int) -> bool:
        """Pass on all entries that end in a window, if it holds only objects.

        What is cut off at the last `}, {` is a list of whole entries, or no JSON.
        """
        start = self._offset()
        window = self.content[start : start + size]
        ends = list(_BETWEEN.finditer(window, size // 2))
        if len(window) < size or not ends:
            return False
        part = window[: ends[-1].start() + 1]
        if self.without is not None:
            part = self.without.sub(self.instead, part)
        try:
            values = json.loads(b"[%b]" % part)
        except (ValueError, RecursionError):
            return False
        take(values)
        self._go(start + ends[-1].end())
        return True

    def _few(self, take: Take) -> None:
        """Hand on the entries of a window one by one, up to the end of the list."""
        values, stop = [self._value()], self.start + self.place + _WINDOW
        self._next("]")
        while self._sign() != "]" and self.start + self.place < stop:
            values.append(self._value())
            self._next("]")
        take(values)

    def _value(self) -> Any:
        """Read the next value and move behind it."""
        self._sign()
        while True:
            try:
                value, end = _DECODER.raw_decode(self.text, self.place)
                if end < len(self.text) or self.whole:  # else a number may continue
                    self.place = end
                    return value
            except json.JSONDecodeError as error:
                if self.whole:
                    self.place = error.pos
                    raise self._broken(error.msg) from error
            self._look(2 * len(self.text.encode()))

    def _next(self, closing: str) -> None:
        """Go to the next entry, or to the closing bracket."""
        if self._sign() == closing:
            return
        self._expect(",")
        if self._sign() == closing:
            raise self._broken("Illegal trailing comma")

    def _expect(self, sign: str) -> None:
        """Go behind a sign that has to come next."""
        if self._sign() != sign:
            raise self._broken(f"Expecting '{sign}' delimiter")
        self.place += 1

    def _sign(self) -> str:
        """The next character other than a space; empty at the end."""
        while True:
            match = _SPACE.match(self.text, self.place)
            self.place = match.end() if match is not None else self.place
            if self.place < len(self.text) or self.whole:
                return self.text[self.place : self.place + 1]
            self._look(_WINDOW)

    def _offset(self) -> int:
        """The place in bytes."""
        return self.start + len(self.text[: self.place].encode())

    def _go(self, start: int) -> None:
        """Begin a window at a place in bytes."""
        self.start, self.text, self.place, self.whole = start, "", 0, start >= len(self.content)
        passed = start // _RETURNED * _RETURNED
        if passed > self.returned and isinstance(self.content, mmap.mmap):
            if hasattr(mmap, "MADV_DONTNEED"):  # else they count as memory of this process
                self.content.madvise(mmap.MADV_DONTNEED, self.returned, passed - self.returned)
            self.returned = passed

    def _look(self, size: int) -> None:
        """Move the window's start to the current position, and read at least this many bytes."""
        self._go(self._offset())
        window = self.content[self.start : self.start + size]
        self.whole = self.start + size >= len(self.content)
        self.text, _ = codecs.utf_8_decode(window, "strict", self.whole)

    def _broken(self, message: str) -> json.JSONDecodeError:
        """The error at the place, counted from the start of the file."""
        before = str(self.content[: self.start], "utf-8")
        return json.JSONDecodeError(message, before + self.text, len(before) + self.place)


def _numbers_of(key: str) -> re.Pattern[bytes]:
    """Finds a key with a list of lists of numbers."""
    space = r"[ \t\n\r]*"
    numbers = r"[-+.0-9eE,\[\] \t\n\r]*"
    return re.compile(rf'"{key}"{space}:{space}\[{space}\[{numbers}\]'.encode())


def _kind(value: Any) -> str:
    names = {dict: "object", list: "list", str: "string", bool: "boolean", type(None): "null"}
    return names.get(type(value), "number")
