"""Decisions that all ranks take together between two batches."""

from __future__ import annotations

import lightning.pytorch as pl

BATCHES_BETWEEN = 20  # each agreement of several ranks waits for all of them


def is_step_start(trainer: pl.Trainer, batch_idx: int) -> bool:
    """Whether an optimizer step starts with this batch: no gradient is partly accumulated."""
    return batch_idx % trainer.accumulate_grad_batches == 0


def any_rank(trainer: pl.Trainer, condition: bool, batch_idx: int) -> bool:
    """Whether the condition is true on any rank; all ranks get the same answer.

    With several ranks it is evaluated only every `BATCHES_BETWEEN` steps and false in between.

    Args:
        trainer: The trainer of this rank.
        condition: The condition on this rank.
        batch_idx: Number of the batch in its epoch, the same on all ranks.
    """
    if trainer.world_size == 1:
        return condition
    steps = batch_idx // trainer.accumulate_grad_batches
    if steps % BATCHES_BETWEEN != 0:
        return False
    return trainer.strategy.reduce_boolean_decision(condition, all=False)
