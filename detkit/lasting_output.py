"""Standard output and error of a command that must outlive its terminal."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from collections.abc import Iterator
from typing import Any, TextIO, cast

# What a write meets after the terminal has closed, or after the reader of a pipe has ended.
_GONE = (errno.EIO, errno.EPIPE)


@contextlib.contextmanager
def lasting_output() -> Iterator[None]:
    """Discard output once nobody can read it, so that printing never ends a training."""
    before = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = (cast(TextIO, _LastingStream(stream)) for stream in before)
    try:
        yield
    finally:
        with contextlib.suppress(ValueError):  # a stream that somebody has closed
            sys.stdout.flush()
            sys.stderr.flush()
        sys.stdout, sys.stderr = before


class _LastingStream:
    """A text stream whose writes succeed even after its reader is gone."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write, or discard the text if nobody can read it."""
        try:
            return self._stream.write(text)
        except OSError as error:
            self._discard_output(error)
            return len(text)

    def flush(self) -> None:
        """Flush, or discard what is buffered if nobody can read it."""
        try:
            self._stream.flush()
        except OSError as error:
            self._discard_output(error)

    def _discard_output(self, error: OSError) -> None:
        if error.errno not in _GONE:
            raise error
        # Replaces the descriptor itself: the stream still holds text that it flushes at exit.
        with contextlib.suppress(OSError, ValueError):
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, self._stream.fileno())
            os.close(null)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
