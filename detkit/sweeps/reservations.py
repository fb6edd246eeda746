"""GPUs of this machine that one sweep holds while its jobs run, so that another one waits."""

from __future__ import annotations

import fcntl
import logging
import os
import random
import re
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

PAUSE = 0.5  # seconds between two looks at GPUs of other sweeps
_log = logging.getLogger("detkit.sweeps")


def shared_folder() -> Path:
    """Where all sweeps of a user on this machine put their lock files."""
    return Path(tempfile.gettempdir()) / f"detkit-{os.getuid()}" / "gpus"


class Reservations:
    """The GPUs that this process holds.

    A reservation is a locked file. Jobs inherit it, so that it lasts until the last process that
    uses the GPU has ended, also when the sweep itself is killed. Where no file can be locked,
    nothing is reserved.

    Args:
        folder: Where the files are.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._files: dict[str, IO[bytes]] = {}

    def reserve(self, gpu: str) -> bool:
        """Hold a GPU; whether this process holds it now."""
        if gpu in self._files:
            return True
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            file = self._path(gpu).open("a+b")
        except OSError:
            return True
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            return False
        except OSError:
            file.close()
            return True
        file.truncate(0)
        file.write(str(os.getpid()).encode())
        file.flush()
        self._files[gpu] = file
        return True

    def wait(self, gpus: Sequence[str], count: int, until: Callable[[], bool]) -> None:
        """Wait until this process can hold so many of the GPUs; says once for whom.

        Args:
            gpus: Those that it could use.
            count: How many it needs at once.
            until: Whether to give up.
        """
        is_told = False
        while sum(map(self.reserve, gpus)) < count and not until():
            others = [gpu for gpu in gpus if not self.reserve(gpu)]
            if not is_told:
                _log.info(
                    "waiting for GPU %s, in use by another sweep (%s); "
                    "hydra.launcher.share_devices=true shares them without waiting",
                    " and ".join(others),
                    ", ".join(dict.fromkeys(map(self.holder, others))),
                )
            is_told = True
            for gpu in gpus:
                self.release(gpu)
            # not in step with another sweep that also needs several
            time.sleep(random.uniform(0.5, 1.5) * PAUSE)

    def release(self, gpu: str) -> None:
        """Let go of a GPU; jobs that still use it keep it reserved."""
        file = self._files.pop(gpu, None)
        if file is not None:
            file.close()

    def descriptors(self, gpu: str) -> list[int]:
        """The open file for jobs to inherit; none where nothing can be locked."""
        return [self._files[gpu].fileno()] if gpu in self._files else []

    def holder(self, gpu: str) -> str:
        """The process that holds a GPU, for messages."""
        with suppress(OSError, ValueError):
            return f"process {int(self._path(gpu).read_text(encoding='utf-8'))}"
        return "another process"

    def _path(self, gpu: str) -> Path:
        return self.folder / f"{re.sub(r'[^A-Za-z0-9_-]', '_', gpu)}.lock"
