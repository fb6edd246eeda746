"""The `data` block of a configuration: a data set, its splits and their loaders."""

from __future__ import annotations

import copy
import logging
import math
from functools import cached_property
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader

from detkit.data.batch_order import EvaluationBatches, TrainingBatches
from detkit.data.collate import Collate
from detkit.data.data_summary import describe_splits
from detkit.data.detection_dataset import DetectionDataset
from detkit.data.index import relabel, select
from detkit.data.index_checks import check_index
from detkit.data.randomness import WORKERS, generator_of
from detkit.data.splits import (
    DEFAULT_TRAIN_SPLIT,
    DEFAULT_VALIDATION_SPLIT,
    choose_training,
    choose_validation,
    overlap,
    split_positions,
)
from detkit.data.workers import WorkerLoader, begin_worker
from detkit.errors import DataError
from detkit.interfaces import MixingTransform, Reader, Sampling, Transform
from detkit.registry import Fraction, NonNegativeInt, PositiveFloat, PositiveInt, Slot, Wired
from detkit.structures import DatasetIndex, Sample
from detkit.text import counted

LOGGER = logging.getLogger("detkit.data")
Loader = DataLoader[Sample]


class DetectionData:
    """A data set as batches for training and validation; nothing is read before it is needed.

    Args:
        path: Folder of the data set.
        reader: How the folder is read.
        train_split: Split to train on, where the data set has splits.
        validation_split: Split to validate on; where the data set has no `val`, or this is null, a
            fraction of the train split is held back.
        validation_fraction: That fraction.
        split_seed: Seed of that choice; not the run's seed, so that runs with different seeds are
            validated on the same images.
        batch_size: Images of a training step on each device.
        validation_batch_size: Images of a validation step on each device; null takes batch_size.
        workers: Processes that load images; 0 loads in the main process.
        multi_scale: Factors by which the images of a training batch are resized after the
            transforms, such as [0.75, 1.0, 1.25]; null does not resize.
        multi_scale_every: Batches after which another of these factors is drawn.
        sampling: How often each training image comes in an epoch; null takes each once.
        limit_images: Use the first images of each split only, to try things out.
    """

    def __init__(
        self,
        *,
        path: str,
        reader: Annotated[Reader, Slot("reader", "auto")],
        train_transforms: Wired[dict[str, Transform | MixingTransform]],
        evaluation_transforms: Wired[dict[str, Transform]],
        seed: Wired[int],
        sampling: Annotated[Sampling | None, Slot("sampling")],
        mixing_epochs: Wired[float] = math.inf,
        pad_multiple: Wired[int] = 32,
        train_split: str = DEFAULT_TRAIN_SPLIT,
        validation_split: str | None = DEFAULT_VALIDATION_SPLIT,
        validation_fraction: Fraction = 0.2,
        split_seed: NonNegativeInt = 0,
        batch_size: PositiveInt = 8,
        validation_batch_size: PositiveInt | None = None,
        workers: NonNegativeInt = 2,
        multi_scale: list[PositiveFloat] | None = None,
        multi_scale_every: PositiveInt = 1,
        limit_images: PositiveInt | None = None,
    ) -> None:
        self.path = Path(path).expanduser()
        self.reader = reader
        self.train_transforms = train_transforms
        self.evaluation_transforms = evaluation_transforms
        self.seed = seed
        self.sampling = sampling
        self.mixing_epochs = mixing_epochs
        self.train_split = train_split
        self.validation_split = validation_split
        self.validation_fraction = validation_fraction
        self.split_seed = split_seed
        self.batch_size = batch_size
        self.validation_batch_size = validation_batch_size or batch_size
        self.workers = workers
        self.pad_multiple = pad_multiple
        self.multi_scale = multi_scale
        self.multi_scale_every = multi_scale_every
        self.limit_images = limit_images
        self._known_classes: list[str] | None = None

    def with_classes(self, class_names: list[str]) -> DetectionData:
        """The same data with labels by name in another list of classes, such as a checkpoint's.

        Reading raises DataError where objects have a class that the list does not hold.
        """
        changed = copy.copy(self)
        for name, member in vars(DetectionData).items():
            if isinstance(member, cached_property):
                changed.__dict__.pop(name, None)
        changed._known_classes = list(class_names)
        return changed

    @property
    def class_names(self) -> list[str]:
        """The classes in label order: those of `with_classes`, else those of the train split."""
        return self._known_classes or self._train_split_index.class_names

    @property
    def category_ids(self) -> list[int]:
        """The ids of the classes in the data set's own format."""
        if self._known_classes is not None:
            return self.validation_index.category_ids
        return self._train_split_index.category_ids

    @cached_property
    def train_index(self) -> DatasetIndex:
        """Images and objects to train on.

        Raises:
            DataError: The split does not exist, or has no object.
        """
        index = self._train_split_index
        if self.validation_name is None:
            index = select(index, self._positions[0])
        index = self._limited(index)
        if not (~index.ignored).any():
            raise DataError(
                f"none of the {len(index)} training images of '{self.path}' has an object, so "
                "there is nothing to learn: check the annotations, data.train_split and "
                "data.limit_images."
            )
        return index

    @cached_property
    def validation_index(self) -> DatasetIndex:
        """Images and objects to validate on, labelled as the training ones.

        The train split is read only where it tells the classes or is divided.
        """
        if self.validation_name is None:
            return self._limited(select(self._train_split_index, self._positions[1]))
        index = self._read(self.validation_name)
        if self._known_classes is not None:
            return self._limited(index)
        shared = overlap(self._train_split_index, index)
        if shared:
            LOGGER.warning(
                "found %s among the training images, such as %s: results will be too "
                "good; check data.train_split and data.validation_split",
                counted(len(shared), "validation image"),
                shared[0],
            )
        return self._limited(relabel(index, self.class_names, f"the split '{self.train_split}'"))

    @cached_property
    def splits(self) -> list[str]:
        """The data set's own names of its splits."""
        return self.reader.splits(self.path)

    @cached_property
    def training_name(self) -> str | None:
        """The split to train on, or None where the data set is not divided."""
        return choose_training(self.train_split, self.splits)

    @cached_property
    def _train_split_index(self) -> DatasetIndex:
        """What the train split holds, before a fraction is held back."""
        return self._read(self.training_name)

    def read_split(self, split: str | None) -> DatasetIndex:
        """The first `limit_images` images of a split, or of a data set without splits."""
        return self._limited(self._read(split))

    def _read(self, split: str | None) -> DatasetIndex:
        """What the reader makes of a split, checked: plugins have readers too."""
        index = self.reader.read(self.path, split)
        check_index(index)
        if self._known_classes is not None:
            index = relabel(index, self._known_classes, "the checkpoint")
        return index

    @cached_property
    def validation_name(self) -> str | None:
        """The split to validate on, or None where a fraction of the train split is held back."""
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
    def _positions(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Positions in the train split to train on, and to validate on."""
        count = len(self._train_split_index)
        return split_positions(count, self.validation_fraction, self.split_seed)

    def _limited(self, index: DatasetIndex) -> DatasetIndex:
        if self.limit_images is None or self.limit_images >= len(index):
            return index
        return select(index, range(self.limit_images))

    def describe(self) -> str:
        """One line: where the data are, how many images and objects of how many classes."""
        indices = {"train": self.train_index, "validation": self.validation_index}
        return f"{self.path}: {describe_splits(indices, self.class_names)}"

    def train_loader(self, skip: tuple[int, int] = (0, 0)) -> Loader:
        """Shuffled, augmented batches; what they hold is a function of (seed, epoch).

        Args:
            skip: An epoch, and the number of its first batches that are left out.
        """
        return self._loader(self.train_dataset(), self.train_batches(skip))

    def train_batches(self, skip: tuple[int, int] = (0, 0)) -> TrainingBatches:
        """The keys of the samples of each training batch.

        Args:
            skip: An epoch, and the number of its first batches that are left out.
        """
        shares = None if self.sampling is None else self.sampling(self.train_index)
        return TrainingBatches(
            len(self.train_index),
            batch_size=self.batch_size,
            seed=self.seed,
            scales=self.multi_scale,
            scale_every=self.multi_scale_every,
            shares=shares,
            skip=skip,
            grouped=any(isinstance(t, MixingTransform) for t in self.train_transforms.values()),
        )

    def train_dataset(self) -> DetectionDataset:
        """The training samples by key, augmented."""
        mixing = [n for n, t in self.train_transforms.items() if isinstance(t, MixingTransform)]
        if mixing and self.mixing_epochs <= 0:
            LOGGER.warning(
                "%s: in no epoch, as augmentation.close_mosaic takes in all", ", ".join(mixing)
            )
        elif mixing and self.mixing_epochs < math.inf:
            LOGGER.info(
                "%s: in the first %d epochs (augmentation.close_mosaic)",
                ", ".join(mixing),
                self.mixing_epochs,
            )
        return DetectionDataset(
            self.train_index,
            transforms=self.train_transforms,
            seed=self.seed,
            mixing_epochs=self.mixing_epochs,
        )

    def validation_loader(self) -> Loader:
        """All validation images in order."""
        return self.measuring_loader(self.validation_index)

    def measuring_loader(self, index: DatasetIndex) -> Loader:
        """All images of an index in order, with the evaluation transforms, to measure on them."""
        dataset = DetectionDataset(
            index, transforms=self.evaluation_transforms, seed=self.seed, is_measured=True
        )
        batches = EvaluationBatches(len(index), batch_size=self.validation_batch_size)
        return self._loader(dataset, batches)

    def _loader(
        self, dataset: DetectionDataset, batches: TrainingBatches | EvaluationBatches
    ) -> Loader:
        return WorkerLoader(
            dataset,
            batch_sampler=batches,
            num_workers=self.workers,
            collate_fn=Collate(pad_multiple=self.pad_multiple),
            pin_memory=torch.cuda.is_available(),
            persistent_workers=self.workers > 0,
            worker_init_fn=begin_worker,
            # else each epoch would draw from the global generator, which a resume cannot repeat
            generator=generator_of(WORKERS, self.seed),
        )
