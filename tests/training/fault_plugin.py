"""A plugin with a callback that fails or stops one rank in the middle of a training."""

import os
import signal
import sys

import lightning.pytorch as pl

from detkit import register
from detkit.errors import UserError


@register("callback", "fault")
class Fault(pl.Callback):
    """Fail in the second batch of the second epoch, when a checkpoint is there.

    Args:
        rank: The rank that fails.
        kind: How.
    """

    def __init__(self, *, rank: int = 1, kind: str = "error") -> None:
        self.rank = rank
        self.kind = kind

    def on_train_batch_start(self, trainer, pl_module, batch, batch_idx):
        if trainer.global_rank != self.rank or (trainer.current_epoch, batch_idx) != (1, 1):
            return
        if self.kind == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        if self.kind == "stop":
            os.kill(os.getpid(), signal.SIGTERM)
            return
        if self.kind == "exit":
            sys.exit(3)
        if self.kind == "user":
            raise UserError("the moon is full: train by day.")
        raise ValueError("the moon is full")
