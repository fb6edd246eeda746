"""Refuse a batch whose objects are out of range, naming its files."""

from __future__ import annotations

import lightning.pytorch as pl

from detkit.errors import DataError
from detkit.registry import PositiveInt, Wired, register
from detkit.structures import Batch
from detkit.training.risky_boxes import in_range, risky_boxes


@register("callback", "batch_check")
class BatchCheck(pl.Callback):
    """Stop in the first epochs if a transform has produced an invalid label or box.

    The data set is checked when it is read; this callback checks the result of the augmentation. On
    a GPU, a label out of range would end the process with an assertion that names no file.

    Args:
        num_classes: Upper limit of labels, exclusive.
        epochs: Epochs in which each batch is checked; each check waits for the GPU.
    """

    def __init__(self, *, num_classes: Wired[int], epochs: PositiveInt = 1) -> None:
        self.num_classes = num_classes
        self.epochs = epochs

    def on_train_batch_start(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        """Check the batch, and stop all ranks if one has an invalid batch, so that none waits."""
        if trainer.current_epoch >= self.epochs:
            return
        good = in_range(batch, self.num_classes)
        if trainer.strategy.reduce_boolean_decision(good, all=True):
            return
        if good:
            raise DataError("a batch of another rank holds an object that is out of range.")
        raise DataError(_description(batch, self.num_classes))


def _description(batch: Batch, num_classes: int) -> str:
    first = risky_boxes(batch, num_classes)[0]
    box = ", ".join(f"{value:g}" for value in first.box)
    return (
        f"{first.path}: an object with label {first.label} and box [{box}] after the transforms: "
        f"{first.reason}; expected a label in 0..{num_classes - 1} and finite corners in order "
        "inside the image. Check what the augmentation's transforms do to boxes, starting "
        "with plugins'; callbacks.batch_check=null turns this check off."
    )
