"""What ranks have to decide together between two batches."""

from __future__ import annotations

import lightning.pytorch as pl

BATCHES_BETWEEN = 20  # each agreement of several ranks waits for all of them


def is_step_start(trainer: pl.Trainer, batch_idx: int) -> bool:
    """Whether a training can be interrupted before this batch: no gradient is half summed up."""
    return batch_idx % trainer.accumulate_grad_batches == 0


def any_rank(trainer: pl.Trainer, wish: bool, batch_idx: int) -> bool:
    """Whether any rank wishes it, on all ranks the same answer; seldom asked where there are many.

    Args:
        trainer: Of this rank.
        wish: What this rank wishes.
        batch_idx: Number of the batch in its epoch, the same on all ranks.
    """
    if trainer.world_size == 1:
        return wish
    steps = batch_idx // trainer.accumulate_grad_batches
    if steps % BATCHES_BETWEEN != 0:
        return False
    return trainer.strategy.reduce_boolean_decision(wish, all=False)
