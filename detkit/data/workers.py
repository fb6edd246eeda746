"""Data-loading workers that outlive a stop request until the main process ends them."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from multiprocessing import parent_process, resource_tracker
from typing import Any

from torch.utils.data import DataLoader

from detkit.interruption import STOP_SIGNALS
from detkit.structures import Sample
from detkit.terminal import leave_status_line_whole

_PARENT_CHECK = 1.0  # seconds


class WorkerLoader(DataLoader[Sample]):
    """A DataLoader whose workers ignore stop signals from the start.

    The signals are blocked while workers start, and every child inherits the blocked state, even
    one that Python spawns as a new program. The main process receives pending signals afterwards.
    """

    def __iter__(self) -> Any:
        """Start the workers, or return the running ones."""
        if self.num_workers == 0:
            return super().__iter__()
        before = signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
        try:
            context = self.multiprocessing_context or multiprocessing
            if context.get_start_method() != "fork":
                # Starting it unblocks two of the signals (before Python 3.12), so do that first.
                resource_tracker.ensure_running()
                signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
            return super().__iter__()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


def begin_worker(worker: int) -> None:
    """Ignore the signals that stop a run; the main process ends its workers.

    The main process sends SIGTERM to a worker that hangs, so a worker obeys SIGTERM from it alone.
    """
    leave_status_line_whole()
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    parent = parent_process()
    if sys.platform == "linux" and parent is not None and parent.pid is not None:
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])
        signal.signal(signal.SIGTERM, signal.SIG_DFL)  # sigtimedwait never returns ignored signals
        watch = threading.Thread(target=_end_with, args=(parent.pid, os.getppid()), daemon=True)
        watch.start()
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {*STOP_SIGNALS} - {signal.SIGTERM})


def _end_with(main_process: int, parent: int) -> None:
    """End this process when the main process asks for it, or has died."""
    while os.getppid() == parent:
        received = signal.sigtimedwait([signal.SIGTERM], _PARENT_CHECK)
        if received is not None and received.si_pid == main_process:
            break
    os._exit(128 + signal.SIGTERM)
