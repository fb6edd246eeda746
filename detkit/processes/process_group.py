"""A command and all processes that it starts, ended as one; imports neither torch nor hydra.

A guard process, `python -m detkit.processes.process_group COMMAND ...`, starts the command as the
leader of a new process group and waits for its end. When the leader ends, or when the process that
started the guard ends for whatever reason, the guard kills what remains of the group.
"""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from detkit.interruption import StopSignals

GRACE = 60.0  # seconds that a leader has to save its work before it is killed
_POLL = 0.2
_NO_CORES = "-"


class ProcessGroup:
    """A running command with all processes that it starts.

    Args:
        command: The program and its arguments.
        environment: All its environment variables; None inherits this process's.
        output: A file to which its output is appended; None leaves the output to the terminal.
        cores: CPU cores that it may use; None allows all.
        grace: Seconds between asking the leader to stop and killing the group.
        inherited: File descriptors that stay open until the whole group has ended, such as that of
            a locked file.
        ignores_ctrl_c: Whether Ctrl-C in the terminal does not reach the group.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        output: Path | None = None,
        cores: Sequence[int] | None = None,
        grace: float = GRACE,
        inherited: Sequence[int] = (),
        ignores_ctrl_c: bool = False,
    ) -> None:
        words = [sys.executable, "-m", "detkit.processes.process_group", f"{grace}"]
        words += [",".join(map(str, cores or ())) or _NO_CORES, *command]
        file = None if output is None else output.open("ab")
        try:
            self._guard = subprocess.Popen(
                words,
                stdin=subprocess.PIPE,  # the guard sees it close when this process ends
                stdout=file,
                stderr=file,
                env=None if environment is None else dict(environment),
                pass_fds=inherited,
                process_group=0 if ignores_ctrl_c else None,
            )
        finally:
            if file is not None:
                file.close()

    @property
    def pid(self) -> int:
        """The process id of the guard."""
        return self._guard.pid

    def poll(self) -> int | None:
        """The exit code, 128 plus the signal if one ended the leader; None while it runs."""
        return self._guard.poll()

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end and return the exit code.

        Raises:
            subprocess.TimeoutExpired: It still runs after this many seconds.
        """
        return self._guard.wait(timeout)

    def send(self, number: int) -> None:
        """Send a signal that asks the leader to stop."""
        self._guard.send_signal(number)

    def stop(self) -> int:
        """Ask the leader to stop, kill the group after the grace, and return the exit code."""
        if self.poll() is None:
            self.send(signal.SIGTERM)
        return self.wait()


class _Guard:
    """Watches the leader of a group, and the pipe of the process that started the group."""

    def __init__(self, command: Sequence[str], grace: float) -> None:
        self.grace = grace
        self.deadline: float | None = None
        self.leader = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)

    def forward(self, number: int) -> None:
        """Forward a signal to the leader; any but Ctrl-C starts the grace."""
        if self.leader.poll() is None:
            self.leader.send_signal(number)
            if self.deadline is None and number != signal.SIGINT:
                self.deadline = time.monotonic() + self.grace

    def watch(self) -> int:
        """Wait until the leader has ended, kill the rest of the group, return the exit code."""
        with selectors.DefaultSelector() as selector:
            selector.register(sys.stdin.buffer, selectors.EVENT_READ)
            while self.leader.poll() is None:
                if selector.get_map() and selector.select(_POLL):
                    selector.unregister(sys.stdin.buffer)
                    self.forward(signal.SIGTERM)
                elif not selector.get_map():
                    time.sleep(_POLL)
                if self.deadline is not None and time.monotonic() > self.deadline:
                    self.kill()
        self.kill()
        code = self.leader.returncode
        return code if code >= 0 else 128 - code

    def kill(self) -> None:
        """Kill all processes of the group that are still alive."""
        try:
            os.killpg(self.leader.pid, signal.SIGKILL)
        except ProcessLookupError:
            return


def main(words: Sequence[str]) -> int:
    """Run the guard and return the leader's exit code."""
    grace, cores, *command = words
    if cores != _NO_CORES:
        os.sched_setaffinity(0, [int(core) for core in cores.split(",")])
    # Until the leader runs, a signal must not end the guard, which would leave the leader behind.
    early: list[int] = []
    with StopSignals(early.append) as signals:
        guard = _Guard(command, float(grace))
        signals.react = guard.forward
        for number in early:
            guard.forward(number)
        return guard.watch()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
