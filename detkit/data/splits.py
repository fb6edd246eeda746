"""Choose the splits to train and to validate on."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from detkit.data.randomness import SPLIT, generator_of
from detkit.errors import DataError, did_you_mean
from detkit.structures import DatasetIndex
from detkit.text import counted

DEFAULT_TRAIN_SPLIT = "train"
DEFAULT_VALIDATION_SPLIT = "val"  # may be absent; only a name that the user set must exist
# Usual names of the splits, the most common one first.
SYNONYMS = {
    "train": ("train", "training", "trainval"),
    "val": ("val", "valid", "validation", "dev", "minival"),
    "test": ("test", "testing"),
}


def role_of(split: str) -> str | None:
    """`train`, `val` or `test` for a split of one of the usual names, else None."""
    name = split.casefold()
    return next((role for role, names in SYNONYMS.items() if name in names), None)


def find_split(name: str, available: list[str]) -> str | None:
    """The split that a name means, including synonyms and ignoring case; else None."""
    if name in available:
        return name
    folded = name.casefold()
    names = [folded]
    if folded != "trainval":  # more than "train", so no synonym of it
        names += SYNONYMS.get(role_of(folded) or "", ())
    by_name = {split.casefold(): split for split in available}
    return next((by_name[other] for other in names if other in by_name), None)


def require_split(name: str, available: list[str], key: str) -> str:
    """The split that a configuration means.

    Raises:
        DataError: The data set has no such split.
    """
    match = find_split(name, available)
    if match is None:
        raise DataError(
            f"{key}={name}: the data set has no such split; it has "
            f"{', '.join(available) or 'none'}.{did_you_mean(name, available)}"
        )
    return match


def choose_training(name: str, available: list[str]) -> str | None:
    """The split to train on; None if the data set is not divided.

    A single split counts as the training split unless its name is one of validation or test.

    Raises:
        DataError: The data set has no such split.
    """
    if not available or (_is_undivided(available) and name == DEFAULT_TRAIN_SPLIT):
        return next(iter(available), None)
    return require_split(name, available, "data.train_split")


def _is_undivided(available: list[str]) -> bool:
    """Whether there is only one split and it is for training, whatever its name."""
    return len(available) == 1 and role_of(available[0]) in (None, "train")


def choose_validation(name: str | None, available: list[str]) -> str | None:
    """The split to validate on; None to hold back a fraction of the training split.

    Args:
        name: The split that the configuration names; None always holds back a fraction.
        available: The splits of the data set.

    Raises:
        DataError: There is no such split, or several other splits could be it.
    """
    if name is None:
        return None
    match = find_split(name, available)
    if match is not None or name != DEFAULT_VALIDATION_SPLIT:
        return match or require_split(name, available, "data.validation_split")
    choices = [split for split in available if role_of(split) != "train"]
    if not choices or _is_undivided(available):
        return None
    raise DataError(
        f"the data set has no validation split; it has {', '.join(available)}."
        f"{did_you_mean(name, choices)} Set data.validation_split=null to hold back a fraction of "
        f"the training images, or data.validation_split={choices[0]} to validate on that split."
    )


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
    """The files that are in both indices."""
    first_paths = {str(first.path(position)) for position in range(len(first))}
    second_paths = (str(second.path(position)) for position in range(len(second)))
    return [path for path in second_paths if path in first_paths]
