"""The position of a checkpoint in its training, from which a run resumes with the next batch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import lightning.pytorch as pl
import torch
import torch.distributed

from detkit.errors import DataError, UserError
from detkit.runs.random_state import random_state, set_random_state
from detkit.text import listed

POSITION = "position"
RANDOM_STATES = "random_states"


class Position(NamedTuple):
    """The next batch of a training.

    Attributes:
        epoch: Finished epochs.
        batch: Finished batches of the current epoch.
        images: Images per batch over all ranks; 0 if unknown.
    """

    epoch: int = 0
    batch: int = 0
    images: int = 0

    def __str__(self) -> str:
        """For messages: the epoch, counted from 1, and its last finished batch."""
        if self.batch == 0:
            return f"at the start of epoch {self.epoch + 1}"
        return f"in epoch {self.epoch + 1}, batch {self.batch}"

    def resume_text(self, max_epochs: int | None) -> str:
        """Describe where a resumed training continues, or say that it is complete."""
        if max_epochs is None or self.epoch < max_epochs:
            return f"resuming {self}"
        return (
            f"the training is complete: trainer.max_epochs={max_epochs} reached; a higher number "
            "trains for longer"
        )


def position(trainer: pl.Trainer, batch_size: int = 0) -> Position:
    """The position of a training at the start of a batch or at the end of an epoch.

    Args:
        trainer: The trainer of this rank.
        batch_size: Images per batch on each rank.
    """
    epochs: Any = (
        trainer.fit_loop.epoch_progress.current
    )  # Lightning types it as a class with fewer counts
    done = trainer.fit_loop.epoch_loop.batch_progress.current.completed
    in_epoch = epochs.started > epochs.processed
    return Position(epochs.processed, done if in_epoch else 0, batch_size * trainer.world_size)


def read_position(path: str | Path) -> Position:
    """Read the position from a checkpoint."""
    content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    stored = content.get(POSITION)
    return Position(**stored) if stored else Position(int(content["epoch"]) + 1)


def require_same_batches(saved: Position, batch_size: int, ranks: int) -> None:
    """Refuse to resume with another batch size, which would change the steps of an epoch.

    Raises:
        UserError: The ranks together would take more or fewer images in a batch.
    """
    if saved.images in (0, batch_size * ranks):
        return
    if saved.images % ranks == 0:
        remedy = f"set data.batch_size={saved.images // ranks}"
    else:
        remedy = f"use a number of devices that divides {saved.images}"
    raise UserError(
        f"batches had {saved.images} images over all devices when the run was interrupted, and "
        f"{ranks} with data.batch_size={batch_size} make {batch_size * ranks}: {remedy}."
    )


def require_same_data(stored: Mapping[str, str], current: Mapping[str, str], path: Path) -> None:
    """Refuse to resume with data that have changed since the start.

    Args:
        stored: Fingerprints of the splits in the checkpoint.
        current: Current fingerprints of the splits.
        path: The checkpoint.

    Raises:
        DataError: Some fingerprints differ.
    """
    changed = [name for name, value in current.items() if stored.get(name, value) != value]
    if changed:
        raise DataError(
            f"the {listed(changed)} data have changed since the run started (images, sizes, "
            "classes or boxes), so it cannot be resumed: restore them, or start a new run from its "
            f"weights with weights={path}."
        )


def add_position(trainer: pl.Trainer, checkpoint: dict[str, Any], batch_size: int) -> None:
    """Add the position and the generator states of all ranks; call it on every rank."""
    checkpoint[POSITION] = position(trainer, batch_size)._asdict()
    state = random_state()
    states: list[Any] = [state]
    if trainer.world_size > 1:
        states = [None] * trainer.world_size
        torch.distributed.all_gather_object(states, state)
    checkpoint[RANDOM_STATES] = states
    _uncount_started_batch(checkpoint["loops"]["fit_loop"])


def _uncount_started_batch(loops: dict[str, Any]) -> None:
    """Make a checkpoint saved at the start of a batch resume with that batch.

    Lightning has already counted this batch and resumes by its counts. If it is the first batch of
    an epoch, the epoch must not count as started, because Lightning would take it for complete.
    Saving at the end of a batch would be too early, since its metrics are logged after that.
    """
    batches, epochs = loops["epoch_loop.batch_progress"], loops["epoch_progress"]
    if batches["current"]["ready"] == batches["current"]["started"]:
        return
    batches["is_last_batch"] = False
    for counts in (batches["total"], batches["current"]):
        counts["ready"] = counts["started"]
    if batches["current"]["started"] == 0:
        for counts in (epochs["total"], epochs["current"]):
            counts["ready"] = counts["started"] = counts["processed"]


def restore_random_state(trainer: pl.Trainer, states: list[Any]) -> None:
    """Restore the state of this rank; without one, give each rank a different seed.

    Lightning seeds all ranks alike, so that dropout would drop the same units on all of them.
    """
    if len(states) == trainer.world_size:
        set_random_state(states[trainer.global_rank])
    elif trainer.world_size > 1:
        torch.manual_seed(torch.initial_seed() + trainer.global_rank)
