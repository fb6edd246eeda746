"""How a loader's process begins."""

from __future__ import annotations

import signal

from detkit.terminal import leave_status_line_whole


def begin_worker(worker: int) -> None:
    """Make a process ready to load samples.

    It goes on at Ctrl-C, which reaches all processes of a terminal; the main process ends it.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    leave_status_line_whole()
