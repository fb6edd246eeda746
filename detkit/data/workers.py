"""How a loader's process begins."""

from __future__ import annotations

import gc
import signal


def begin_worker(worker: int) -> None:
    """Make a process ready to load samples.

    It goes on at Ctrl-C, which reaches all processes of a terminal. What it has from the main
    process is not searched for garbage: that would write into each page and so copy it, 90 MB in
    each worker.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    gc.freeze()
