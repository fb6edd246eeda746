"""Divide a data set with at most one split into a training and a validation split."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch

from detkit.data.index_selection import select
from detkit.data.randomness import SPLIT, generator_of
from detkit.errors import UserError
from detkit.structures import DatasetIndex
from detkit.text import counted

TRAIN, VALIDATION = "train", "val"


@dataclass(frozen=True)
class Division:
    """A random division of images.

    Attributes:
        share: Share of the images to train on, between 0 and 1.
        seed: Seed of the random draw.
    """

    share: float
    seed: int = 0

    def of(self, indices: Mapping[str, DatasetIndex]) -> dict[str, DatasetIndex]:
        """Divide a data set with at most one split into train and val.

        Raises:
            UserError: It has several splits, or train or val would be empty.
        """
        if len(indices) > 1:
            raise UserError(
                f"split={self.share:g}: the data set already has the splits {', '.join(indices)}. "
                "Remove split= to keep them, or name the one to divide, such as "
                f"split={next(iter(indices))},{self.share:g}."
            )
        index = next(iter(indices.values()))
        count = round(len(index) * self.share)
        if not 0 < count < len(index):
            raise UserError(
                f"split={self.share:g} of {counted(len(index), 'image')} puts {count} into train "
                f"and {len(index) - count} into val: each needs at least one."
            )
        order = torch.randperm(len(index), generator=generator_of(SPLIT, self.seed)).numpy()
        positions = {TRAIN: order[:count], VALIDATION: order[count:]}
        return {name: select(index, np.sort(part)) for name, part in positions.items()}
