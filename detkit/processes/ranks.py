"""The ranks of a run on several devices of this machine: start them, watch them, end them together.

`python -m detkit.processes.ranks FOLDER COUNT` starts COUNT processes of
`python -m detkit.processes.run_frozen FOLDER`. When one of them fails, the others are ended, and
the last message is the error of the rank that failed first, not that of a rank that lost its peer.
Imports neither torch nor hydra.

Hand-written because torch's `elastic_launch` signals all ranks at once and, in the versions that
detkit supports, kills them 30 seconds later (https://github.com/pytorch/pytorch/issues/119856): a
run that is asked to stop during a validation would lose everything since its last checkpoint.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

from detkit.files import write_atomically
from detkit.interruption import STOP_SIGNALS, StopSignals, run_stoppable, signal_name
from detkit.lasting_output import lasting_output
from detkit.processes.rank_environment import ERROR_VARIABLE
from detkit.runs.resume import resume_hint

LAST_WORDS = 10.0  # seconds in which the other ranks may end by themselves after one has failed
AFTER_THE_FIRST = 60.0  # the same after rank 0 has finished, which ends last
_STOPPED = 128  # the exit code of a process that a signal stopped is this plus the signal
# Variables that another launcher may have set for its own processes.
_TORCHRUN_PREFIX = "TORCHELASTIC_"
_LAUNCHER_VARIABLES = (
    *("GROUP_RANK", "GROUP_WORLD_SIZE", "LOCAL_WORLD_SIZE", "ROLE_RANK", "ROLE_WORLD_SIZE"),
)


def command(folder: Path, devices: object) -> list[str]:
    """The command that trains a frozen folder on the devices of its configuration."""
    if isinstance(devices, int) and devices > 1:
        return [sys.executable, "-m", "detkit.processes.ranks", str(folder), str(devices)]
    return [sys.executable, "-m", "detkit.processes.run_frozen", str(folder)]


def run_ranks(folder: Path, count: int) -> int:
    """Run all ranks of a frozen folder and print the error of the first that fails.

    Returns:
        The exit code: 0, that of the rank that failed, or 128 plus the signal.
    """
    words = [sys.executable, "-m", "detkit.processes.run_frozen", str(folder)]
    with (
        tempfile.TemporaryDirectory(prefix="detkit-ranks-") as errors,
        Ranks(words, count, Path(errors)) as ranks,
    ):
        return ranks.wait(lambda: resume_hint(folder))


def leave_error(text: str, code: int, brief: str = "", *, follows: bool = False) -> bool:
    """Hand the error of this rank to the process that started it.

    Args:
        text: The error as it is printed.
        code: The exit code of this rank.
        brief: The error in one line, if the text is longer.
        follows: Whether the error only reports that another rank has failed.

    Returns:
        Whether there is such a process; if not, this rank has to print its error itself.
    """
    file = os.environ.get(ERROR_VARIABLE)
    if not file:
        return False
    content = {
        "time": time.time(),
        "text": text,
        "code": code,
        "brief": brief,
        "follows": follows,
    }
    write_atomically(Path(file), json.dumps(content))
    return True


class RankExit(NamedTuple):
    """The end of a rank.

    Attributes:
        time: The time of its error, or of its end if it reported none.
        rank: Its number.
        code: Its exit code; negative if a signal ended it.
        text: The error that it reported, or nothing.
        brief: The error in one line, if the text is longer.
        follows: Whether the error only reports that another rank has failed.
    """

    time: float
    rank: int
    code: int
    text: str = ""
    brief: str = ""
    follows: bool = False


class Ranks:
    """A context for the ranks of a run; it forwards signals to them and ends them.

    Args:
        words: The command of each rank.
        count: The number of ranks.
        errors: An empty folder for the errors of the ranks.
    """

    def __init__(self, words: Sequence[str], count: int, errors: Path) -> None:
        self.words = words
        self.errors = errors
        self._exits: queue.SimpleQueue[RankExit] = queue.SimpleQueue()
        self._killed: set[int] = set()
        self._stop_signal: int | None = None
        self._signals = StopSignals(self.ask_to_stop)
        self._processes: list[subprocess.Popen[bytes]] = []
        self._count = count

    def __enter__(self) -> Ranks:
        """Start the ranks; a signal that arrives in the meantime is forwarded afterwards."""
        self._signals.__enter__()
        port = _free_port()
        for rank in range(self._count):
            self._processes.append(self._start(rank, port))
        if self._stop_signal is not None:
            self._processes[0].send_signal(signal.SIGTERM)
        for rank in range(self._count):
            threading.Thread(target=self._watch, args=(rank,), daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Kill all ranks that are still alive and restore the signal handlers."""
        self._kill()
        self._signals.__exit__(kind, error, trace)

    def ask_to_stop(self, number: int) -> None:
        """Ask rank 0 to stop; it agrees with the others on the last step.

        Rank 0 gets SIGTERM whichever signal arrived: before it can stop in order, SIGTERM ends it.
        """
        self._stop_signal = number
        if len(self._processes) == self._count:
            self._processes[0].send_signal(signal.SIGTERM)

    def wait(self, hint: Callable[[], str] = str) -> int:
        """Wait until all ranks have ended, kill hanging ones, and print the first error.

        Args:
            hint: Returns a sentence to print after an error that is not the user's.

        Returns:
            The exit code: 0, that of the rank that failed first, or 128 plus the signal.
        """
        exits: list[RankExit] = []
        deadline: float | None = None
        while len(exits) < len(self._processes):
            seconds = None if deadline is None else max(deadline - time.monotonic(), 0)
            try:
                rank_exit = self._exits.get(timeout=seconds)
            except queue.Empty:
                self._kill()
                deadline = None
                continue
            exits.append(rank_exit)
            grace = self._grace_of_others(rank_exit)
            if grace is not None and not self._killed:
                deadline = min(deadline or float("inf"), time.monotonic() + grace)
        return self._result(exits, hint)

    def _grace_of_others(self, rank_exit: RankExit) -> float | None:
        """Seconds that the other ranks may run after one has ended; None for no limit."""
        if self._stop_signal is not None and rank_exit.code < 0:
            return 0.0  # asked to stop before it could do so in order
        if rank_exit.code != 0:
            return LAST_WORDS
        return AFTER_THE_FIRST if rank_exit.rank == 0 else None

    def _start(self, rank: int, port: int) -> subprocess.Popen[bytes]:
        environment = {
            name: value
            for name, value in os.environ.items()
            if name not in _LAUNCHER_VARIABLES and not name.startswith(_TORCHRUN_PREFIX)
        }
        environment |= {
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(port),
            "WORLD_SIZE": str(self._count),
            "NODE_RANK": "0",
            "RANK": str(rank),
            "LOCAL_RANK": str(rank),
            ERROR_VARIABLE: str(self._error_file(rank)),
        }
        return subprocess.Popen(self.words, env=environment)

    def _error_file(self, rank: int) -> Path:
        return self.errors / f"{rank}.json"

    def _watch(self, rank: int) -> None:
        code = self._processes[rank].wait()
        now = time.time()  # before the file is read, since this end may make another rank fail
        rank_exit = RankExit(now, rank, code)
        file = self._error_file(rank)
        if file.is_file():
            error = json.loads(file.read_text(encoding="utf-8"))
            rank_exit = RankExit(
                error["time"], rank, code, error["text"], error["brief"], error["follows"]
            )
        self._exits.put(rank_exit)

    def _kill(self) -> None:
        for rank, process in enumerate(self._processes):
            if process.poll() is None:
                self._killed.add(rank)
                process.kill()

    def _result(self, exits: Sequence[RankExit], hint: Callable[[], str]) -> int:
        """Print the first error, if any, and return the exit code of the run."""
        failed = [e for e in exits if e.code != 0 and e.rank not in self._killed]
        # A rank may report a lost peer before the system reports the end of that peer.
        failed.sort(key=lambda e: (e.follows, e.time, e.rank))
        if not failed:
            return 0
        if self._stop_signal is not None:
            return _STOPPED + self._stop_signal
        first = failed[0]
        if first.code > _STOPPED and not first.text:
            return first.code  # somebody else asked it to stop, and it has said so itself
        sys.stderr.write(f"{_error_text(failed, hint())}\n")
        return first.code if first.code > 0 else _STOPPED - first.code


def _error_text(failed: Sequence[RankExit], hint: str) -> str:
    """The message for failed ranks, sorted by the time of failure."""
    first = failed[0]
    if not first.text:
        reason = f"ended with exit code {first.code}"
        if first.code < 0:
            reason = f"was ended by {signal_name(-first.code)}"
        if first.code == -signal.SIGKILL:
            reason += " (by a user, or by the system because it ran out of memory)"
        return f"error: rank {first.rank} {reason}; all ranks were ended. {hint}"
    is_shared = len({e.text for e in failed}) == 1 and len(failed) > 1
    of_rank = "" if is_shared else f" of rank {first.rank}"
    if not first.brief:
        return f"error{of_rank}: {first.text}"
    return f"{first.text}\nerror{of_rank}: {first.brief}; all ranks were ended. {hint}"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


if __name__ == "__main__":
    with lasting_output():
        exit_code = run_stoppable(
            lambda: run_ranks(Path(sys.argv[1]), int(sys.argv[2])), STOP_SIGNALS, ends_process=True
        )
    sys.exit(exit_code)
