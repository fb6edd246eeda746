"""Search for the largest batch that fits into memory.

Lightning's `Tuner.scale_batch_size` is not used: it trains in the process of the run, whose random
states and CUDA memory it leaves changed, and it needs a data module whose loaders it rebuilds.
"""

from __future__ import annotations

import gc
from collections.abc import Callable

import torch
from lightning.pytorch.utilities.memory import is_oom_error

_FINENESS = 16  # the search ends at a sixteenth of the size


def largest_batch(fits: Callable[[int], bool], most: int) -> int:
    """The largest size that fits, found by doubling and then by halving the interval.

    Args:
        fits: Whether a size fits; if one does, smaller ones do.
        most: The largest size to try.

    Returns:
        A size that fits. If it is not `most`, one that is larger by a sixteenth (or by one image)
        does not fit. 0 if not even one image fits.
    """
    low, high = 0, 1
    while high <= most and fits(high):
        low, high = high, 2 * high
    high = min(high, most + 1)
    while high - low > max(low // _FINENESS, 1):
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low


def fits_into_memory(step: Callable[[int], None]) -> Callable[[int], bool]:
    """Whether a step with a number of images ends without running out of a GPU's memory."""

    def fits(images: int) -> bool:
        try:
            step(images)
        except RuntimeError as error:
            # Lightning's check also knows the errors of cuDNN.
            if not isinstance(error, torch.cuda.OutOfMemoryError) and not is_oom_error(error):
                raise
            return False
        finally:
            if torch.cuda.is_available():
                gc.collect()  # an error's traceback keeps tensors alive
                torch.cuda.empty_cache()
        return True

    return fits
