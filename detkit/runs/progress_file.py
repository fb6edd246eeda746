"""The progress file of a running training, which sweeps read; imports no Lightning."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from detkit.files import write_atomically
from detkit.runs.layout import RunFolder


@dataclass(frozen=True)
class Status:
    """The progress of a training.

    Attributes:
        epoch: The current epoch, counted from 1.
        epochs: Epochs of the whole training; None if another limit ends it.
        fraction: Finished share of the training, 0 to 1.
        seconds_left: Estimated seconds to its end; None before the first steps.
        state: `training`, `validating`, or `measuring` the best checkpoint after the training.
    """

    epoch: int
    epochs: int | None
    fraction: float
    seconds_left: float | None
    state: str = "training"


def write_status(folder: Path, status: Status) -> None:
    """Replace the file atomically; a failed write must not stop the training."""
    with suppress(OSError):
        write_atomically(RunFolder(folder).progress, json.dumps(asdict(status)))


def read_status(folder: Path) -> Status | None:
    """The status in a run folder; None if it is missing or unreadable."""
    try:
        content = json.loads(RunFolder(folder).progress.read_text(encoding="utf-8"))
        return Status(**{field.name: content[field.name] for field in fields(Status)})
    except (OSError, ValueError, TypeError, KeyError):
        return None
