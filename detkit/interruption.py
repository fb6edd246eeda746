"""Signals that ask a command to stop; imports neither torch nor hydra.

`timeout`, schedulers and a closed terminal signal the whole process group, some of them twice.
Every process of a run therefore handles the same signals, and takes those that arrive together for
one request.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import FrameType, TracebackType
from typing import Any

from detkit.errors import Stopped

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)
STOP_CODES = tuple(128 + number for number in STOP_SIGNALS)  # exit codes of a command they stop
SAME_REQUEST = 1.0  # seconds; `timeout` signals its child, and then the group with the child


class StopSignals:
    """While entered, call `react` once per request to stop.

    Does nothing outside the main thread, which receives no signals. A process that the shell or
    `nohup` has told to ignore SIGHUP keeps ignoring it.

    Args:
        react: Gets the number of the signal; may raise.
        numbers: Signals to handle.
        ends_process: Whether the process ends after the context. It then ignores the signals once a
            request has come, so that a repeated one does not change its exit code.
        counts_presses: Whether Ctrl-C twice is two requests, however fast. Not where the signal
            also arrives by way of another process.
    """

    def __init__(
        self,
        react: Callable[[int], None],
        numbers: Sequence[signal.Signals] = STOP_SIGNALS,
        ends_process: bool = False,
        counts_presses: bool = False,
    ) -> None:
        self.react = react
        self._numbers = numbers
        self._ends_process = ends_process
        self._counts_presses = counts_presses
        self._handlers: dict[signal.Signals, Any] = {}
        self._process = os.getpid()
        self._latest = _LatestRequest()

    def __enter__(self) -> StopSignals:
        """Install the handlers."""
        if threading.current_thread() is not threading.main_thread():
            return self
        for number in self._numbers:
            before = signal.getsignal(number)
            if number == signal.SIGHUP and before is signal.SIG_IGN:
                continue
            outer = getattr(before, "__self__", None)
            if isinstance(outer, StopSignals):
                self._latest = outer._latest
            # a handler that Python did not install reads as None
            self._handlers[number] = before or signal.SIG_DFL
            signal.signal(number, self._receive)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Restore the earlier handlers."""
        for number, handler in self._handlers.items():
            ended = self._ends_process and self._latest.time is not None
            signal.signal(number, signal.SIG_IGN if ended else handler)
        self._handlers = {}

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self._process:
            return  # a forked child that has not set its own handlers yet
        now, latest = time.monotonic(), self._latest
        is_press = self._counts_presses and number == latest.number == signal.SIGINT
        if latest.time is not None and now - latest.time < SAME_REQUEST and not is_press:
            return
        latest.time, latest.number = now, number
        self.react(number)


@dataclass
class _LatestRequest:
    """The latest request that a process received; nested contexts share it."""

    time: float | None = None
    number: int | None = None


def run_stoppable(
    command: Callable[[], int], numbers: Sequence[signal.Signals], ends_process: bool
) -> int:
    """Run a command; a signal stops it at once, unless it handles the signal itself.

    Returns:
        Its exit code, or 128 and the signal.
    """

    def stop(number: int) -> None:
        raise Stopped(f"stopped by {signal_name(number)}", number)

    try:
        with StopSignals(stop, numbers, ends_process):
            return command()
    except Stopped as stopped:
        sys.stderr.write(f"{stopped}\n")
        return stopped.exit_code


def signal_name(number: int) -> str:
    """`SIGTERM` for 15; `signal 99` for a number without a name."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
