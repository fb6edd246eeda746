"""The linear warm-up that all schedules begin with.

It lasts `warmup_steps`, but never longer than a tenth of the training: the defaults come from runs
of tens of thousands of steps, and would take up all of a short one.
"""

from __future__ import annotations


def warmup_length(total_steps: int, warmup_steps: int) -> int:
    """Steps of the warm-up: the requested number, but at most a tenth of all steps."""
    return min(warmup_steps, total_steps // 10)


def warmup(step: int, total_steps: int, warmup_steps: int, warmup_factor: float) -> float:
    """Rise linearly from `warmup_factor` at step 0 to 1 at the first step after the warm-up."""
    length = warmup_length(total_steps, warmup_steps)
    if step >= length:
        return 1.0
    return warmup_factor + (1 - warmup_factor) * step / length


def progress(step: int, total_steps: int, warmup_steps: int) -> float:
    """Share of the steps after the warm-up that are done: 0 at its end, 1 after the last step."""
    start = warmup_length(total_steps, warmup_steps)
    return max(step - start, 0) / max(total_steps - start, 1)
