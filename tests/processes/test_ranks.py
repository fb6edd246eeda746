"""Ranks end together, and the error shown is from the rank that failed first."""

import os
import signal
import sys
import threading
import time
from pathlib import Path

import pytest

from detkit.processes import ranks
from detkit.processes.ranks import Ranks

# A rank that does what `{case}` says; `fail` leaves an error as a rank does and ends.
RANK = """
import os, signal, sys, time
from detkit.processes.ranks import leave_error
rank = int(os.environ["RANK"])
def fail(text, code=1, brief="", after=0.0, follows=False):
    time.sleep(after)
    leave_error(text, code, brief, follows=follows)
    sys.exit(code)
{case}
"""


def run(tmp_path, case, count=2):
    words = [sys.executable, "-c", RANK.replace("{case}", case)]
    with Ranks(words, count, tmp_path) as running:
        return running.wait(lambda: "Go on.")


@pytest.fixture
def short(tmp_path, monkeypatch):
    """A folder, and a short grace period."""
    monkeypatch.setattr(ranks, "LAST_WORDS", 0.5)
    monkeypatch.setattr(ranks, "AFTER_THE_FIRST", 0.5)
    return tmp_path, monkeypatch


@pytest.mark.parametrize(
    ("case", "code", "shown"),
    [
        ("pass", 0, ""),
        ("fail('too small', 2)", 2, "error: too small\n"),
        ("fail('mine', 2) if rank else time.sleep(60)", 2, "error of rank 1: mine\n"),
        # Rank 0 loses its peer only when that one has ended.
        (
            "fail('T\\nE', 1, 'E: e') if rank else fail('lost', 2, after=1.0)",
            1,
            "T\nE\nerror of rank 1: E: e; all ranks were ended. Go on.\n",
        ),
        ("sys.exit(3) if rank else time.sleep(60)", 3, "error: rank 1 ended with exit code 3;"),
        (
            "time.sleep(60) if rank else os.kill(os.getpid(), signal.SIGKILL)",
            137,
            "error: rank 0 was ended by SIGKILL",
        ),
        # It may notice so before the system tells that the other has ended.
        (
            "if rank: fail('lost', 2, follows=True)\n"
            "time.sleep(0.2); os.kill(os.getpid(), signal.SIGKILL)",
            137,
            "error: rank 0 was ended by SIGKILL",
        ),
        ("fail('lost', 2, follows=True)", 2, "error: lost"),
        ("sys.exit(143)", 143, ""),  # asked to stop by somebody else, which it has told
        ("time.sleep(60 * rank)", 0, ""),  # rank 0 has done all there is
    ],
)
def test_the_first_error_is_shown_and_all_end(short, capfd, case, code, shown):
    tmp_path, monkeypatch = short
    if "sleep(60" not in case:  # every rank ends on its own, on a busy machine late
        monkeypatch.setattr(ranks, "LAST_WORDS", 10.0)
    start = time.monotonic()
    assert run(tmp_path, case) == code
    assert time.monotonic() - start < 20
    told = capfd.readouterr().err
    assert told.startswith(shown)
    assert bool(told) == bool(shown)


def test_a_signal_that_comes_by_two_ways_reaches_the_first_rank_once(tmp_path):
    case = """
got = []
signal.signal(signal.SIGTERM, lambda number, frame: got.append(number))
open(os.environ["DETKIT_RANK_ERROR"] + ".ready", "w").close()
while rank == 0 and not got:
    time.sleep(0.02)
time.sleep(0.3)
sys.exit(100 + len(got) if rank == 0 else 0)
"""

    def twice():
        while not (tmp_path / "0.json.ready").exists():
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)

    before = signal.getsignal(signal.SIGINT)
    sender = threading.Thread(target=twice)
    sender.start()
    words = [sys.executable, "-c", RANK.replace("{case}", case)]
    codes = []
    with Ranks(words, 2, tmp_path) as running:
        code = running.wait()
        codes = [process.returncode for process in running._processes]
    sender.join()
    assert codes == [101, 0]
    assert code == 128 + signal.SIGINT
    assert signal.getsignal(signal.SIGINT) == before


def test_rank_variables_of_other_launchers_are_ignored(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "theirs")
    monkeypatch.setenv("LOCAL_RANK", "7")
    case = """
from detkit.processes.rank_environment import is_detkit_rank, is_torchrun_rank, rank_number
found = [is_detkit_rank(), is_torchrun_rank(), rank_number(), os.environ["LOCAL_RANK"]]
fail(str(found), 2) if rank else time.sleep(60)
"""
    monkeypatch.setattr(ranks, "LAST_WORDS", 0.1)
    assert run(tmp_path, case) == 2
    assert "rank 1: [True, False, 1, '1']" in capsys.readouterr().err


def test_one_device_needs_no_leader():
    alone, together = (ranks.command(Path("run"), devices)[1:] for devices in (1, 2))
    assert alone == ["-m", "detkit.processes.run_frozen", "run"]
    assert together == ["-m", "detkit.processes.ranks", "run", "2"]
