"""Send the messages of a run to the terminal and to `train.log`."""

from __future__ import annotations

import logging
from pathlib import Path

from detkit.runs.layout import RunFolder
from detkit.terminal import TerminalHandler, leave_status_line_whole


class _LogFile(logging.FileHandler):
    """The log file of a run; a full disk is reported by the run itself, once."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  # logging's name
        """Drop the message, which is also on the terminal."""


def log_to(folder: Path | None, rank: int = 0) -> None:
    """Show detkit's messages on the terminal, and store them with their times in the run folder.

    Rank 0 reports for all ranks; the others only report their own errors.

    Args:
        folder: The run folder; None writes no file.
        rank: The rank of this process.
    """
    root = logging.getLogger("detkit")
    root.handlers.clear()
    terminal = TerminalHandler()
    terminal.setFormatter(logging.Formatter(f"rank {rank}: %(message)s" if rank else "%(message)s"))
    root.addHandler(terminal)
    root.setLevel(logging.ERROR if rank else logging.INFO)
    if folder is not None and rank == 0:
        file = _LogFile(RunFolder(folder).log, encoding="utf-8")
        file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        root.addHandler(file)


def report_problems_only() -> None:
    """Limit a rank other than the first to warnings, printed above the first rank's status line."""
    logging.getLogger("detkit").setLevel(logging.WARNING)
    leave_status_line_whole()
