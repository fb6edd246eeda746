"""A status line at the bottom of a terminal; messages scroll above it."""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, TextIO

CLEAR = "\r\x1b[K"  # return to the start of the line and erase it
_DEFAULT_COLUMNS = 80


class StatusLine:
    """One line that stays at the bottom of a terminal while messages scroll above it.

    While it is open, `sys.stdout`, `sys.stderr` and their logging handlers erase the line before
    each message and redraw it afterwards. This covers `print`, warnings, logging and `tqdm.write`.

    Args:
        stream: The terminal that shows the line.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._text = ""
        self._is_interrupted = False  # whether a message has not ended its line yet
        self._lock = threading.RLock()
        self._streams: dict[str, Any] = {}
        self._handlers: list[tuple[logging.StreamHandler[Any], Any]] = []

    def open(self) -> None:
        """Redirect the output of this process to the terminal."""
        for name in ("stdout", "stderr"):
            stream = getattr(sys, name)
            if is_terminal(stream):
                self._streams[name] = stream
                guarded = GuardedStream(stream, self)
                setattr(sys, name, guarded)
                for handler in _handlers_of(stream):
                    self._handlers.append((handler, handler.stream))
                    handler.setStream(guarded)

    def close(self) -> None:
        """Erase the line and undo the redirection."""
        with self._lock:
            self._erase()
            self._text = ""
        for handler, stream in self._handlers:
            handler.setStream(stream)
        for name, stream in self._streams.items():
            if isinstance(getattr(sys, name), GuardedStream):
                setattr(sys, name, stream)
        self._streams, self._handlers = {}, []

    def show(self, text: str) -> None:
        """Replace the text of the line, cut to the terminal's width."""
        with self._lock:
            self._text = text[: columns(self._stream) - 1]
            self._draw()

    def print_above(self, text: str, stream: TextIO) -> int:
        """Write a message above the line."""
        with self._lock:
            if not self._is_interrupted:
                self._erase()
            count = stream.write(text)
            if text:
                self._is_interrupted = not text.endswith(("\n", "\r"))
            stream.flush()
            self._draw()
        return count

    def _draw(self) -> None:
        if self._text and not self._is_interrupted:
            self._write(CLEAR + self._text)

    def _erase(self) -> None:
        if self._text and not self._is_interrupted:
            self._write(CLEAR)

    def _write(self, text: str) -> None:
        with suppress(OSError, ValueError):  # the terminal was closed; the training continues
            self._stream.write(text)
            self._stream.flush()


class GuardedStream:
    """A stream on a terminal whose messages do not mix with a status line.

    Another process, such as a loader's worker, cannot redraw the status line; its message replaces
    the line until the next update. It writes only whole lines, because `print` writes a message and
    its newline separately, and the status line could be drawn in between.

    Args:
        stream: The stream for the messages.
        line: The status line of this process; None if another process draws it.
    """

    def __init__(self, stream: TextIO, line: StatusLine | None) -> None:
        self._stream = stream
        self._line = line
        self._process = os.getpid()
        self._pending = ""  # an unfinished line of another process

    def write(self, text: str) -> int:
        """Write a message."""
        if self._line is not None and os.getpid() == self._process:
            return self._line.print_above(text, self._stream)
        lines, end, self._pending = (self._pending + text).rpartition("\n")
        if end:
            self._stream.write(CLEAR + lines + end)
            self._stream.flush()
        return len(text)

    def flush(self) -> None:
        """Write the pending text."""
        if self._pending:
            self._stream.write(CLEAR + self._pending)
            self._pending = ""
        self._stream.flush()

    def writelines(self, lines: list[str]) -> None:
        """Write several messages."""
        for line in lines:
            self.write(line)

    def __iter__(self) -> Iterator[str]:
        """Fail like any output stream."""
        return iter(self._stream)

    def __getattr__(self, name: str) -> Any:
        """Forward everything else to the stream."""
        return getattr(self._stream, name)


class TerminalHandler(logging.StreamHandler[Any]):
    """Writes log messages to the current `sys.stderr`."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> Any:
        """The current `sys.stderr`."""
        return sys.stderr

    @stream.setter
    def stream(self, value: Any) -> None:
        """Ignore the stream: it would be outdated once `sys.stderr` is replaced."""


def leave_status_line_whole() -> None:
    """Keep this process's messages apart from the status line that another process draws."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if is_terminal(stream) and not isinstance(stream, GuardedStream):
            guarded = GuardedStream(stream, None)
            setattr(sys, name, guarded)
            for handler in _handlers_of(stream):
                handler.setStream(guarded)


def is_terminal(stream: Any) -> bool:
    """Whether a stream is an open terminal; `sys.stdout` may be None or closed."""
    try:
        return bool(stream.isatty())
    except (AttributeError, ValueError):
        return False


def columns(stream: TextIO) -> int:
    """The width of a terminal in columns."""
    try:
        width = os.get_terminal_size(stream.fileno()).columns
    except (OSError, ValueError, AttributeError):
        width = 0
    return width or _DEFAULT_COLUMNS


def _handlers_of(stream: Any) -> list[logging.StreamHandler[Any]]:
    """All logging handlers that write to a stream or to the same terminal."""
    registered = logging.getLogger().manager.loggerDict.values()
    loggers = [
        logging.getLogger(),
        *(logger for logger in registered if isinstance(logger, logging.Logger)),
    ]
    return [
        handler
        for logger in loggers
        for handler in logger.handlers
        if isinstance(handler, logging.StreamHandler) and _is_same(handler.stream, stream)
    ]


def _is_same(first: Any, second: Any) -> bool:
    if first is second:
        return True
    try:
        return bool(first.fileno() == second.fileno())
    except (AttributeError, OSError, ValueError):  # a stream without a file
        return False
