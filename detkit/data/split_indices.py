"""The training and validation splits of a data set, and their indices."""

from __future__ import annotations

import copy
import logging
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from detkit.data.index_cache import IndexCache
from detkit.data.index_checks import check_index
from detkit.data.index_selection import relabel, select
from detkit.data.splits import choose_training, choose_validation, overlap, split_positions
from detkit.errors import DataError
from detkit.interfaces import Reader
from detkit.structures import DatasetIndex
from detkit.text import counted

LOGGER = logging.getLogger("detkit.data")


class SplitIndices:
    """Reads the splits of a data set when they are first needed.

    Args:
        path: Folder of the data set.
        reader: The reader of its format.
        train_split: The split to train on, if the data set has splits.
        validation_split: The split to validate on; None holds back a fraction of the train split.
        validation_fraction: That fraction.
        split_seed: Seed of the images that are held back.
        limit_images: Use only the first images of each split.
        cache: Keeps the indices of large data sets; None reads them anew.
    """

    def __init__(
        self,
        path: Path,
        reader: Reader,
        *,
        train_split: str,
        validation_split: str | None,
        validation_fraction: float,
        split_seed: int,
        limit_images: int | None,
        cache: IndexCache | None = None,
    ) -> None:
        self.path = path
        self.reader = reader
        self.train_split = train_split
        self.validation_split = validation_split
        self.validation_fraction = validation_fraction
        self.split_seed = split_seed
        self.limit_images = limit_images
        self.cache = cache
        self._fixed_classes: list[str] | None = None

    def with_classes(self, class_names: list[str]) -> SplitIndices:
        """The same splits, labelled by name in another list of classes."""
        changed = copy.copy(self)
        for name, member in vars(SplitIndices).items():
            if isinstance(member, cached_property):
                changed.__dict__.pop(name, None)
        changed._fixed_classes = list(class_names)
        return changed

    @property
    def class_names(self) -> list[str]:
        """The classes in label order, from `with_classes` or else from the train split."""
        return self._fixed_classes or self._train_split_index.class_names

    @property
    def category_ids(self) -> list[int]:
        """The ids of the classes in the format of the data set."""
        if self._fixed_classes is not None:
            return self.validation.category_ids
        return self._train_split_index.category_ids

    @cached_property
    def splits(self) -> list[str]:
        """The data set's names of its splits."""
        return self.reader.splits(self.path)

    @cached_property
    def training_name(self) -> str | None:
        """The split to train on, or None if the data set has no splits."""
        return choose_training(self.train_split, self.splits)

    @cached_property
    def validation_name(self) -> str | None:
        """The split to validate on, or None if a fraction of the train split is held back."""
        name = choose_validation(self.validation_split, self.splits)
        if name is None:
            LOGGER.info(
                "%s: holding back %g of the training images for validation "
                "(data.validation_fraction)",
                "data.validation_split=null"
                if self.validation_split is None
                else "the data set has no validation split",
                self.validation_fraction,
            )
        return name

    @cached_property
    def training(self) -> DatasetIndex:
        """Images and objects to train on.

        Raises:
            DataError: The split does not exist, or has no object.
        """
        index = self._train_split_index
        if self.validation_name is None:
            index = select(index, self._positions[0])
        index = self._limit(index)
        if not (~index.ignored).any():
            raise DataError(
                f"none of the {len(index)} training images of '{self.path}' has an object, so "
                "there is nothing to learn: check the annotations, data.train_split and "
                "data.limit_images."
            )
        return index

    @cached_property
    def validation(self) -> DatasetIndex:
        """Images and objects to validate on, with the labels of the training images.

        The train split is read only if it defines the classes or is divided.
        """
        if self.validation_name is None:
            return self._limit(select(self._train_split_index, self._positions[1]))
        index = self._read(self.validation_name)
        if self._fixed_classes is not None:
            return self._limit(index)
        shared = overlap(self._train_split_index, index)
        if shared:
            LOGGER.warning(
                "found %s among the training images, such as %s: results will be too "
                "good; check data.train_split and data.validation_split",
                counted(len(shared), "validation image"),
                shared[0],
            )
        return self._limit(relabel(index, self.class_names, f"the split '{self.train_split}'"))

    def read(self, split: str | None) -> DatasetIndex:
        """The first `limit_images` images of a split, or of a data set without splits."""
        return self._limit(self._read(split))

    @cached_property
    def _train_split_index(self) -> DatasetIndex:
        """The whole train split, before a fraction is held back."""
        return self._read(self.training_name)

    def _read(self, split: str | None) -> DatasetIndex:
        """Read and validate a split, since readers of plugins can have bugs."""
        if self.cache is None:
            index = self.reader.read(self.path, split)
        else:
            index = self.cache.read(self.reader, self.path, split)
        check_index(index)
        if self._fixed_classes is not None:
            index = relabel(index, self._fixed_classes, "the checkpoint")
        return index

    @cached_property
    def _positions(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Positions in the train split to train on, and to validate on."""
        count = len(self._train_split_index)
        return split_positions(count, self.validation_fraction, self.split_seed)

    def _limit(self, index: DatasetIndex) -> DatasetIndex:
        if self.limit_images is None or self.limit_images >= len(index):
            return index
        return select(index, range(self.limit_images))
