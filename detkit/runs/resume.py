"""The checkpoint that a run resumes from; imports neither torch nor hydra."""

from __future__ import annotations

import shlex
from pathlib import Path

from detkit.errors import UserError
from detkit.runs.layout import BEST, CHECKPOINTS, CONFIG, LAST, METRICS_LOG, RunFolder
from detkit.runs.new_folder import is_run


def checkpoint_to_resume(requested: str | None, folder: Path) -> str | None:
    """The checkpoint that a frozen folder resumes from, or None for a fresh start.

    When torchrun, SLURM or a user starts the same folder again, the run resumes from what it saved
    itself, not from the checkpoint that was requested when the folder was frozen.

    Args:
        requested: The `ckpt` of the frozen configuration.
        folder: The run folder.
    """
    run = RunFolder(folder)
    if not run.has_checkpoint:
        return requested
    saved_since = run.last_checkpoint.stat().st_mtime > run.config.stat().st_mtime
    return str(run.last_checkpoint) if requested is None or saved_since else requested


def run_without_checkpoint(source: str) -> Path | None:
    """The folder of a run that ended before its first checkpoint; None for everything else.

    A finished run whose checkpoints were deleted does not count.
    """
    run = RunFolder(source)
    checkpoints = [folder / name for folder in (run.path, run.checkpoints) for name in (BEST, LAST)]
    if any(file.is_file() for file in checkpoints) or run.is_finished or not is_run(run.path):
        return None
    return run.path.resolve()


def folder_to_resume(checkpoint: Path) -> RunFolder:
    """The run folder of a checkpoint that is to be resumed.

    Raises:
        UserError: The checkpoint is not in a run folder.
    """
    checkpoint = checkpoint.resolve()
    run = RunFolder.of_checkpoint(checkpoint)
    if checkpoint.parent.name != CHECKPOINTS or not run.config.is_file():
        raise UserError(
            f"ckpt={checkpoint}: a run is resumed in its folder ({CONFIG}, {METRICS_LOG} and "
            f"{CHECKPOINTS}/), and this checkpoint is not in one: give the run folder, or start a "
            f"new run from the weights with weights={checkpoint}."
        )
    return run


def resume_hint(folder: Path) -> str:
    """A sentence for a run's last message that says how to continue it."""
    command = f"detkit train {shlex.quote(f'ckpt={folder}')}"
    if not RunFolder(folder).has_checkpoint:
        return f"No checkpoint had been saved; begin again with: {command}"
    return f"The last checkpoint is kept; resume with: {command}"
