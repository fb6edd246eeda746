"""A run folder for programs: its configuration, metrics and checkpoints."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from detkit.api.configuration import Config
from detkit.api.detector import Detector
from detkit.api.loading import load
from detkit.errors import UserError
from detkit.runs.checkpoint import find_checkpoint, read_checkpoint
from detkit.runs.layout import RunFolder
from detkit.runs.metrics_rows import read_metrics
from detkit.runs.run_record import read_run

if TYPE_CHECKING:
    import torch


class Run:
    """A run that `detkit train` or `detkit.train` wrote; each property reads the current files.

    Args:
        folder: The run folder.

    Raises:
        UserError: The folder contains no run.

    Example:
        >>> run = detkit.Run("runs/mine")
        >>> run.class_names[:2]
        ('circle', 'cross')
        >>> run.metrics[-1]["step"] > 0
        True
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self.folder = Path(folder).expanduser()
        if not RunFolder(self.folder).config.is_file():
            raise UserError(f"{folder}: contains no run; give a folder that detkit train wrote.")

    def __repr__(self) -> str:
        return f"Run({str(self.folder)!r})"

    @property
    def config(self) -> Config:
        """The configuration that the run was started with."""
        return Config(read_run(str(self.folder)).config)

    @property
    def metrics(self) -> list[dict[str, Any]]:
        """A row for each logged step and each validation.

        A row holds `step` and `epoch` as integers and its other numbers as floats; what was not
        measured at a row is missing from it.
        """
        rows = read_metrics(RunFolder(self.folder).metrics_log, with_times=True)
        return [{name: _number(name, cell) for name, cell in row.items() if cell} for row in rows]

    @property
    def best_checkpoint(self) -> Path:
        """The checkpoint with the best validation score; the last one before any validation.

        Raises:
            UserError: The run has not saved a checkpoint yet.
        """
        return find_checkpoint(str(self.folder))

    @property
    def last_checkpoint(self) -> Path:
        """The latest checkpoint, from which the run resumes.

        Raises:
            UserError: The run has not saved a checkpoint yet.
        """
        return find_checkpoint(str(self.folder), prefer="last")

    @property
    def class_names(self) -> tuple[str, ...]:
        """The C class names, in label order.

        Raises:
            UserError: The run has not saved a checkpoint yet.
        """
        return tuple(read_checkpoint(self.last_checkpoint).class_names)

    def load(self, *, device: str | torch.device = "auto") -> Detector:
        """Load the detector of the best checkpoint, as `detkit.load` does.

        Args:
            device: `auto` uses a GPU if there is one; else `cpu`, `cuda` or `cuda:1`.

        Raises:
            UserError: There is no checkpoint, or the device is missing.
        """
        return load(self.folder, device=device)


def _number(name: str, cell: str) -> int | float:
    return int(cell) if name in ("step", "epoch") else float(cell)
