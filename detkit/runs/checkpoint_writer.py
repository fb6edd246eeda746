"""Write checkpoints so that a crash leaves a complete file or none."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO


class CheckpointFile(TorchCheckpointIO):
    """Writes a checkpoint and waits until its bytes are on the disk.

    Lightning's own class first writes to the folder for temporary files, which may be on another,
    full disk, and renames the file before its bytes are on the disk.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None
    ) -> None:
        """Write a checkpoint over any file with this name.

        Raises:
            OSError: The disk is full or not writable.
        """
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            try:
                torch.save(checkpoint, file)
            except RuntimeError as error:
                if isinstance(error.__context__, OSError):  # PyTorch raises its own error instead
                    raise error.__context__ from None
                raise
            file.flush()
            os.fsync(file.fileno())
