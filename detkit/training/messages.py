"""Where the messages of a run go: the terminal and `train.log`."""

from __future__ import annotations

import logging
from pathlib import Path

from detkit.terminal import TerminalHandler, leave_status_line_whole
from detkit.training.launch import rank_number

FILE = "train.log"  # in the run folder


class _LogFile(logging.FileHandler):
    """The messages of a run; the run itself reports a full disk once."""

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  # logging's name
        """Leave the message out: the terminal has it."""


def log_to(folder: Path | None) -> None:
    """Show detkit's messages on the terminal, and store them with their times in the run folder.

    Of several ranks, the first reports for all; the others report only their own errors.
    """
    root = logging.getLogger("detkit")
    root.handlers.clear()
    number = rank_number()
    terminal = TerminalHandler()
    terminal.setFormatter(
        logging.Formatter(f"rank {number}: %(message)s" if number else "%(message)s")
    )
    root.addHandler(terminal)
    root.setLevel(logging.ERROR if number else logging.INFO)
    if folder is not None and number == 0:
        file = _LogFile(folder / FILE, encoding="utf-8")
        file.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        root.addHandler(file)


def report_problems_only() -> None:
    """Let a rank other than the first report warnings, above the status line of the first."""
    logging.getLogger("detkit").setLevel(logging.WARNING)
    leave_status_line_whole()
