"""Signals that stop a run do not end its loader processes."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from detkit.data.workers import WorkerLoader, begin_worker
from detkit.interruption import STOP_SIGNALS

NUMBERS = list(range(100))


def loader_of(data=NUMBERS, context=None):
    return WorkerLoader(
        data, num_workers=1, worker_init_fn=begin_worker, multiprocessing_context=context
    )


# pain 46
def test_a_worker_survives_the_signals_that_stop_a_run():
    batches = iter(loader_of())
    for number in STOP_SIGNALS:  # the worker may still be starting
        os.kill(batches._workers[0].pid, number)
    assert len(list(batches)) == len(NUMBERS)


@pytest.mark.slow
def test_a_worker_that_starts_as_a_new_program_survives_them_too():
    batches = iter(loader_of(context="forkserver"))
    for number in STOP_SIGNALS:
        os.kill(batches._workers[0].pid, number)
    assert len(list(batches)) == len(NUMBERS)


def test_the_main_process_receives_a_signal_that_came_while_workers_started(monkeypatch):
    received = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: received.append(number))
    original = os.fork
    monkeypatch.setattr(os, "fork", lambda: os.kill(os.getpid(), signal.SIGTERM) or original())
    try:
        assert len(list(loader_of())) == len(NUMBERS)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert received == [signal.SIGTERM]


class Hanging:
    """A data set whose samples take a minute."""

    def __len__(self):
        return 1

    def __getitem__(self, index):
        time.sleep(60)


def test_the_main_process_can_end_a_worker_that_hangs():
    batches = iter(loader_of(Hanging()))
    worker = batches._workers[0]
    time.sleep(0.2)
    before = signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # PyTorch's handler raises an error
    try:
        worker.terminate()
        worker.join(10)
    finally:
        signal.signal(signal.SIGCHLD, before)
    assert worker.exitcode is not None


ORPHANS = """
import os, signal, sys, time
from detkit.data.workers import WorkerLoader, begin_worker
class Hanging:
    def __len__(self):
        return 9
    def __getitem__(self, index):
        time.sleep(60)
batches = iter(WorkerLoader(Hanging(), num_workers=2, worker_init_fn=begin_worker))
print(*[worker.pid for worker in batches._workers], flush=True)
time.sleep(0.3)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.slow
def test_workers_end_when_the_main_process_is_killed():
    done = subprocess.run(
        [sys.executable, "-c", ORPHANS], stdout=subprocess.PIPE, text=True, check=False
    )
    end = time.monotonic() + 20
    pids = done.stdout.split()
    while any(Path(f"/proc/{pid}").exists() for pid in pids) and time.monotonic() < end:
        time.sleep(0.1)
    assert len(pids) == 2
    assert not any(Path(f"/proc/{pid}").exists() for pid in pids)
