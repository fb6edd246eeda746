"""How a checkpoint gets onto the disk."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO


class CheckpointFile(TorchCheckpointIO):
    """Writes a file and waits until the disk has it, so that a crash finds all of it or none.

    Lightning's own writes into the folder for temporary files first, which may be another disk and
    full, and renames without waiting for the bytes.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any | None = None
    ) -> None:
        """Write; what is there already under this name is lost.

        Raises:
            OSError: The disk is full or refuses.
        """
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            try:
                torch.save(checkpoint, file)
            except RuntimeError as error:
                if isinstance(error.__context__, OSError):  # PyTorch hides it behind its own
                    raise error.__context__ from None
                raise
            file.flush()
            os.fsync(file.fileno())
