"""The processes of a run on several devices of this machine: started, watched and ended together.

`python -m detkit.processes.ranks FOLDER COUNT` starts COUNT processes of
`python -m detkit.processes.run_frozen FOLDER`. When one of them fails, the others are ended, and
the last message is the error of the rank that failed first, not that of a rank that lost its peer.
Imports neither torch nor hydra.
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

LAST_WORDS = 10.0  # seconds in which other ranks may end by themselves, once one has failed
AFTER_THE_FIRST = 60.0  # the same, once rank 0 has done all that there is to do
_STOPPED = 128  # a rank that was asked to stop ends with this and the signal
# What others may have set for processes of theirs.
_OF_TORCHRUN = "TORCHELASTIC_"
_OF_OTHERS = ("GROUP_RANK", "GROUP_WORLD_SIZE", "LOCAL_WORLD_SIZE", "ROLE_RANK", "ROLE_WORLD_SIZE")


def command(folder: Path, devices: object) -> list[str]:
    """The command that runs a frozen folder, on as many devices as its configuration says."""
    if isinstance(devices, int) and devices > 1:
        return [sys.executable, "-m", "detkit.processes.ranks", str(folder), str(devices)]
    return [sys.executable, "-m", "detkit.processes.run_frozen", str(folder)]


def lead(folder: Path, count: int) -> int:
    """Run all ranks of a frozen folder, show the error of the first that fails.

    Returns:
        The exit code: 0, that of the rank that failed, or 128 and the signal.
    """
    words = [sys.executable, "-m", "detkit.processes.run_frozen", str(folder)]
    with (
        tempfile.TemporaryDirectory(prefix="detkit-ranks-") as errors,
        Ranks(words, count, Path(errors)) as ranks,
    ):
        return ranks.wait(lambda: resume_hint(folder))


def leave_error(text: str, code: int, brief: str = "", *, follows: bool = False) -> bool:
    """Leave the error of this rank to the process that leads it; False where there is none.

    Args:
        text: What is shown of it.
        code: The exit code that this rank will have.
        brief: One line of it, where the text is longer.
        follows: Whether it only says that another rank has failed.
    """
    place = os.environ.get(ERROR_VARIABLE)
    if not place:
        return False
    told = {"text": text, "code": code, "brief": brief, "follows": follows}
    content = {"time": time.time(), **told}
    write_atomically(Path(place), json.dumps(content))
    return True


class End(NamedTuple):
    """How a rank ended.

    Attributes:
        time: When.
        rank: Its number.
        code: Its exit code, negative where a signal ended it.
        text: Its error, where it left one.
        brief: One line of the error, where the text is longer.
        follows: Whether the error only says that another rank has failed.
    """

    time: float
    rank: int
    code: int
    text: str = ""
    brief: str = ""
    follows: bool = False


class Ranks:
    """The ranks of a run: they start with the context, get its signals, and end with it.

    Args:
        words: The command of each rank.
        count: How many.
        errors: An empty folder in which they leave their errors.
    """

    def __init__(self, words: Sequence[str], count: int, errors: Path) -> None:
        self.words = words
        self.errors = errors
        self._ended: queue.SimpleQueue[End] = queue.SimpleQueue()
        self._killed: set[int] = set()
        self._asked: int | None = None
        self._signals = StopSignals(self.ask_to_stop)
        self._processes: list[subprocess.Popen[bytes]] = []
        self._count = count

    def __enter__(self) -> Ranks:
        """Start the ranks; from before their start, pass signals on."""
        self._signals.__enter__()
        port = _free_port()
        for rank in range(self._count):
            self._processes.append(self._start(rank, self._count, port))
        if self._asked is not None:  # while they started
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
        """Leave none behind, and give the signals back."""
        self._kill()
        self._signals.__exit__(kind, error, trace)

    def ask_to_stop(self, number: int) -> None:
        """Ask rank 0 to stop, which agrees with the others on the step after which they do.

        It gets SIGTERM in any case: where it cannot stop in order yet, that ends it at once.
        """
        self._asked = number
        if len(self._processes) == self._count:
            self._processes[0].send_signal(signal.SIGTERM)

    def wait(self, how_to_go_on: Callable[[], str] = str) -> int:
        """Wait for the end of all ranks, or bring it about, and tell the error where there is one.

        Args:
            how_to_go_on: What is told, at the end, behind an error that is not the user's.

        Returns:
            The exit code: 0, that of the rank that failed first, or 128 and the signal.
        """
        ends: list[End] = []
        limit: float | None = None
        while len(ends) < len(self._processes):
            seconds = None if limit is None else max(limit - time.monotonic(), 0)
            try:
                end = self._ended.get(timeout=seconds)
            except queue.Empty:
                self._kill()
                limit = None
                continue
            ends.append(end)
            given = self._time_for_others(end)
            if given is not None and not self._killed:
                limit = min(limit or float("inf"), time.monotonic() + given)
        return self._verdict(ends, how_to_go_on)

    def _time_for_others(self, end: End) -> float | None:
        """Seconds that the other ranks may still run once this one has ended; None for all."""
        if self._asked is not None and end.code < 0:
            return 0.0  # asked to stop, it could not do so in order
        if end.code != 0:
            return LAST_WORDS
        return AFTER_THE_FIRST if end.rank == 0 else None

    def _start(self, rank: int, count: int, port: int) -> subprocess.Popen[bytes]:
        environment = {
            name: value
            for name, value in os.environ.items()
            if name not in _OF_OTHERS and not name.startswith(_OF_TORCHRUN)
        }
        environment |= {
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(port),
            "WORLD_SIZE": str(count),
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
        now = time.time()  # before the file is read, as another rank may fail by this end
        end = End(now, rank, code)
        if self._error_file(rank).is_file():
            left = json.loads(self._error_file(rank).read_text(encoding="utf-8"))
            end = End(left["time"], rank, code, left["text"], left["brief"], left["follows"])
        self._ended.put(end)

    def _kill(self) -> None:
        for rank, process in enumerate(self._processes):
            if process.poll() is None:
                self._killed.add(rank)
                process.kill()

    def _verdict(self, ends: Sequence[End], how_to_go_on: Callable[[], str]) -> int:
        failed = [end for end in ends if end.code != 0 and end.rank not in self._killed]
        # a rank may tell that its peer is lost before the system tells that the peer has ended
        failed.sort(key=lambda end: (end.follows, end.time, end.rank))
        if not failed:
            return 0
        if self._asked is not None:
            return _STOPPED + self._asked
        first = failed[0]
        if first.code > _STOPPED and not first.text:
            return first.code  # it was asked to stop, and has told so
        sys.stderr.write(f"{_told(failed, how_to_go_on())}\n")
        return first.code if first.code > 0 else _STOPPED - first.code


def _told(failed: Sequence[End], how_to_go_on: str) -> str:
    """What is shown of ranks that failed, in the order in which they did."""
    first = failed[0]
    if not first.text:
        reason = f"ended with exit code {first.code}"
        if first.code < 0:
            reason = f"was ended by {signal_name(-first.code)}"
        if first.code == -signal.SIGKILL:
            reason += " (by hand, or by the system because the memory was used up)"
        return f"error: rank {first.rank} {reason}; all ranks were ended. {how_to_go_on}"
    everywhere = len({end.text for end in failed}) == 1 and len(failed) > 1
    of_rank = "" if everywhere else f" of rank {first.rank}"
    if not first.brief:
        return f"error{of_rank}: {first.text}"
    return f"{first.text}\nerror{of_rank}: {first.brief}; all ranks were ended. {how_to_go_on}"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


if __name__ == "__main__":
    with lasting_output():
        exit_code = run_stoppable(
            lambda: lead(Path(sys.argv[1]), int(sys.argv[2])), STOP_SIGNALS, ends_process=True
        )
    sys.exit(exit_code)
