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

GRACE = 60.0  # seconds that a leader has to save what it has before it is killed
_POLL = 0.2


class ProcessGroup:
    """A running command with whatever it starts.

    Args:
        command: The program and its words.
        environment: All of its environment variables; None takes those of this process.
        output: A file that what it prints is added to; None leaves it to the terminal.
        cores: CPU cores that it may use; None admits all.
        grace: Seconds between asking the leader to stop and killing the group.
        held: File descriptors that stay open until nothing of the group is left, such as that of
            a locked file.
        apart: Whether Ctrl-C in the terminal is kept from it.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        output: Path | None = None,
        cores: Sequence[int] | None = None,
        grace: float = GRACE,
        held: Sequence[int] = (),
        apart: bool = False,
    ) -> None:
        words = [sys.executable, "-m", "detkit.processes.process_group", f"{grace}"]
        words += [",".join(map(str, cores or ())) or "-", *command]
        file = None if output is None else output.open("ab")
        try:
            self._guard = subprocess.Popen(
                words,
                stdin=subprocess.PIPE,  # its end tells the guard that this process is gone
                stdout=file,
                stderr=file,
                env=None if environment is None else dict(environment),
                pass_fds=held,
                process_group=0 if apart else None,
            )
        finally:
            if file is not None:
                file.close()

    @property
    def pid(self) -> int:
        """The process id of the guard."""
        return self._guard.pid

    def poll(self) -> int | None:
        """The exit code, 128 and the signal where one ended the leader; None while it runs."""
        return self._guard.poll()

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end and return the exit code.

        Raises:
            subprocess.TimeoutExpired: It still runs after these seconds.
        """
        return self._guard.wait(timeout)

    def send(self, number: int) -> None:
        """Send a signal that asks the leader to stop."""
        self._guard.send_signal(number)

    def stop(self) -> int:
        """Ask the leader to stop, kill what is left after the grace, return the exit code."""
        if self.poll() is None:
            self.send(signal.SIGTERM)
        return self.wait()


class _Guard:
    """Watches the leader of a group and the pipe of the process that wants it to live."""

    def __init__(self, command: Sequence[str], grace: float) -> None:
        self.grace = grace
        self.killed_at: float | None = None
        self.leader = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)

    def pass_on(self, number: int) -> None:
        """Forward a signal to the leader; all but Ctrl-C give it the grace to end."""
        if self.leader.poll() is None:
            self.leader.send_signal(number)
            if self.killed_at is None and number != signal.SIGINT:
                self.killed_at = time.monotonic() + self.grace

    def watch(self) -> int:
        """Wait for the leader's end, or bring it about; leave nothing of the group."""
        with selectors.DefaultSelector() as selector:
            selector.register(sys.stdin.buffer, selectors.EVENT_READ)
            while self.leader.poll() is None:
                if selector.get_map() and selector.select(_POLL):
                    selector.unregister(sys.stdin.buffer)
                    self.pass_on(signal.SIGTERM)
                elif not selector.get_map():
                    time.sleep(_POLL)
                if self.killed_at is not None and time.monotonic() > self.killed_at:
                    self.kill()
        self.kill()
        code = self.leader.returncode
        return code if code >= 0 else 128 - code

    def kill(self) -> None:
        """Kill all that is left of the group."""
        try:
            os.killpg(self.leader.pid, signal.SIGKILL)
        except ProcessLookupError:
            return


def main(words: Sequence[str]) -> int:
    """Run the guard; returns the leader's exit code."""
    grace, cores, *command = words
    if cores != "-":
        os.sched_setaffinity(0, [int(core) for core in cores.split(",")])
    early: list[int] = []  # or a signal now would end the guard, and leave the leader behind
    with StopSignals(early.append) as signals:
        guard = _Guard(command, float(grace))
        signals.react = guard.pass_on
        for received in early:
            guard.pass_on(received)
        return guard.watch()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
