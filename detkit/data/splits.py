"""Which images are trained on and which are held back."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from detkit.data.counting import counted
from detkit.data.randomness import SPLIT, generator_of
from detkit.errors import DataError, did_you_mean
from detkit.structures import DatasetIndex

# What formats and people call the split that is validated on.
SYNONYMS = {"val": ("valid", "validation", "dev"), "train": ("training", "trainval")}


def find_split(wanted: str, available: list[str]) -> str | None:
    """The split of a data set that a configuration means, synonyms included; None without one."""
    names = (wanted, *SYNONYMS.get(wanted, ()))
    return next((name for name in names if name in available), None)


def require_split(wanted: str, available: list[str], key: str) -> str:
    """The split that a configuration means.

    Raises:
        DataError: The data set has no such split.
    """
    found = find_split(wanted, available)
    if found is None:
        raise DataError(
            f"{key}={wanted}: the data set has no such split; it has "
            f"{', '.join(available) or 'none'}.{did_you_mean(wanted, available)}"
        )
    return found


def split_positions(
    count: int, fraction: float, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Positions to train on and positions to hold back, each in order.

    Raises:
        DataError: One side would be empty.
    """
    held = round(count * fraction)
    if not 0 < held < count:
        raise DataError(
            f"data.validation_fraction={fraction} of {counted(count, 'image')} leaves "
            f"{count - held} to train on and {held} to validate on: change the fraction or "
            "add images."
        )
    order = torch.randperm(count, generator=generator_of(SPLIT, seed)).numpy()
    return np.sort(order[held:]), np.sort(order[:held])


def overlap(first: DatasetIndex, second: DatasetIndex) -> list[str]:
    """The files that stand in both indices."""
    own = {str(first.path(position)) for position in range(len(first))}
    others = (str(second.path(position)) for position in range(len(second)))
    return [path for path in others if path in own]
