"""Where in a training a checkpoint was saved, so that a resumed one goes on with the next batch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import lightning.pytorch as pl
import torch
import torch.distributed

from detkit.errors import DataError, UserError
from detkit.runs.random_state import random_state, set_random_state

POSITION = "position"
RANDOM_STATES = "random_states"


class Position(NamedTuple):
    """The next batch of a training.

    Attributes:
        epoch: Epochs that are finished.
        batch: Batches of the epoch after them that are done.
        images: Images of each of these batches, over all ranks; 0 where it is not known.
    """

    epoch: int = 0
    batch: int = 0
    images: int = 0

    def __str__(self) -> str:
        """For messages: the epoch counted from 1, and its last batch that is done."""
        if self.batch == 0:
            return f"at the start of epoch {self.epoch + 1}"
        return f"in epoch {self.epoch + 1}, batch {self.batch}"

    def resume_text(self, max_epochs: int | None) -> str:
        """Where a resumed training goes on, or that no epoch is left."""
        if max_epochs is None or self.epoch < max_epochs:
            return f"going on {self}"
        return (
            f"the training is complete: trainer.max_epochs={max_epochs} reached; a higher number "
            "trains for longer"
        )


def position(trainer: pl.Trainer, batch_size: int = 0) -> Position:
    """Where a training is, at the start of a batch or at the end of an epoch.

    Args:
        trainer: Of this rank.
        batch_size: Images of a batch on each rank.
    """
    epochs: Any = trainer.fit_loop.epoch_progress.current  # typed as one that counts less
    done = trainer.fit_loop.epoch_loop.batch_progress.current.completed
    in_epoch = epochs.started > epochs.processed
    return Position(epochs.processed, done if in_epoch else 0, batch_size * trainer.world_size)


def read_position(path: str | Path) -> Position:
    """The position that a checkpoint was saved at."""
    content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    stored = content.get(POSITION)
    return Position(**stored) if stored else Position(int(content["epoch"]) + 1)


def require_same_batches(saved: Position, batch_size: int, ranks: int) -> None:
    """Refuse to go on with batches of another size: an epoch would have other steps.

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


def require_same_data(stored: Mapping[str, str], prints: Mapping[str, str], path: Path) -> None:
    """Refuse to resume with other data than the run was started with.

    Args:
        stored: Fingerprints of the splits in the checkpoint.
        prints: Current fingerprints of the splits.
        path: The checkpoint.

    Raises:
        DataError: Some fingerprints differ.
    """
    changed = [name for name, value in prints.items() if stored.get(name, value) != value]
    if changed:
        raise DataError(
            f"the {' and '.join(changed)} data have changed since the run started (images, sizes, "
            "classes or boxes), so it cannot be resumed: restore them, or start a new run from its "
            f"weights with weights={path}."
        )


def add_position(trainer: pl.Trainer, checkpoint: dict[str, Any], batch_size: int) -> None:
    """Add the position, and the state of all generators of each rank; called on every rank."""
    checkpoint[POSITION] = position(trainer, batch_size)._asdict()
    state = random_state()
    states: list[Any] = [state]
    if trainer.world_size > 1:
        states = [None] * trainer.world_size
        torch.distributed.all_gather_object(states, state)
    checkpoint[RANDOM_STATES] = states
    _forget_the_started_batch(checkpoint["loops"]["fit_loop"])


def _forget_the_started_batch(loops: dict[str, Any]) -> None:
    """Let a checkpoint that is saved at the start of a batch repeat that batch.

    Lightning has counted it already and, when resuming, goes by these counts. Where it is the first
    one, the epoch has not begun: Lightning would take no batch done for all of them done. To save
    at the end of a batch would be too early, as the metrics of the step are written after that.
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
    """Take this rank's state; where there is none, give each rank noise of its own.

    Lightning starts all ranks from one seed, which would drop the same units on all of them.
    """
    if len(states) == trainer.world_size:
        set_random_state(states[trainer.global_rank])
    elif trainer.world_size > 1:
        torch.manual_seed(torch.initial_seed() + trainer.global_rank)
