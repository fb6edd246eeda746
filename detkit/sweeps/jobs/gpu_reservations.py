"""Reserve GPUs of this machine for one sweep while its jobs run, so that other sweeps wait."""

from __future__ import annotations

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

from detkit.files import Lock, lock
from detkit.text import listed

PAUSE = 0.5  # seconds between two checks of other sweeps' GPUs
_log = logging.getLogger("detkit.sweeps")


def shared_folder() -> Path:
    """The folder for the lock files of all of a user's sweeps on this machine."""
    return Path(tempfile.gettempdir()) / f"detkit-{os.getuid()}" / "gpus"


class Reservations:
    """The GPUs that this process holds.

    A reservation is a locked file. Jobs inherit it, so that it lasts until the last process on the
    GPU has ended, even if the sweep itself is killed. If files cannot be locked, nothing is
    reserved.

    Args:
        folder: The folder of the lock files.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._files: dict[str, IO[bytes]] = {}

    def reserve(self, gpu: str) -> bool:
        """Try to reserve a GPU; return whether this process holds it now."""
        if gpu in self._files:
            return True
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            file = self._path(gpu).open("a+b")
        except OSError:
            return True
        result = lock(file)
        if result is not Lock.ACQUIRED:
            file.close()
            return result is Lock.UNSUPPORTED
        file.truncate(0)
        file.write(str(os.getpid()).encode())
        file.flush()
        self._files[gpu] = file
        return True

    def wait(self, gpus: Sequence[str], count: int, until: Callable[[], bool]) -> None:
        """Wait until this process can reserve enough GPUs; log once which process holds them.

        Args:
            gpus: The GPUs that it could use.
            count: The number of GPUs that it needs at once.
            until: Returns whether to give up.
        """
        is_logged = False
        while sum(map(self.reserve, gpus)) < count and not until():
            unavailable = [gpu for gpu in gpus if not self.reserve(gpu)]
            if not is_logged:
                _log.info(
                    "waiting for GPU %s, in use by another sweep (%s); "
                    "hydra.launcher.share_devices=true shares them without waiting",
                    listed(unavailable),
                    ", ".join(dict.fromkeys(map(self.holder, unavailable))),
                )
            is_logged = True
            for gpu in gpus:
                self.release(gpu)
            # a random pause, to get out of step with another sweep that also needs several
            time.sleep(random.uniform(0.5, 1.5) * PAUSE)

    def release(self, gpu: str) -> None:
        """Release a GPU; jobs that still use it keep it reserved."""
        file = self._files.pop(gpu, None)
        if file is not None:
            file.close()

    def descriptors(self, gpu: str) -> list[int]:
        """The open file for jobs to inherit; empty if files cannot be locked."""
        return [self._files[gpu].fileno()] if gpu in self._files else []

    def holder(self, gpu: str) -> str:
        """The process that holds a GPU, for messages."""
        with suppress(OSError, ValueError):
            return f"process {int(self._path(gpu).read_text(encoding='utf-8'))}"
        return "another process"

    def _path(self, gpu: str) -> Path:
        return self.folder / f"{re.sub(r'[^A-Za-z0-9_-]', '_', gpu)}.lock"
