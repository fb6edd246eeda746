"""The `data` block of a configuration: a data set, its splits and their loaders."""

from __future__ import annotations

import copy
import logging
import math
from pathlib import Path
from typing import Annotated, Any, Literal

import torch
from torch.utils.data import DataLoader

from detkit.config.blocks import Block
from detkit.data.batch_order import EvaluationBatches, TrainingBatches
from detkit.data.batch_size import known_batch_size
from detkit.data.collate import Collate
from detkit.data.data_summary import describe_splits
from detkit.data.detection_dataset import DetectionDataset
from detkit.data.image_cache import CacheKind, CacheSettings, image_caches
from detkit.data.image_decoding import require_format
from detkit.data.index_cache import AUTOMATIC, cache_at, image_folder
from detkit.data.outline_decoding import require_masks
from detkit.data.proposal_file import ProposalFile
from detkit.data.proposal_travel import ProposalDataset
from detkit.data.randomness import WORKERS, generator_of
from detkit.data.split_indices import SplitIndices
from detkit.data.splits import DEFAULT_TRAIN_SPLIT, DEFAULT_VALIDATION_SPLIT
from detkit.data.tiled_dataset import TiledDataset, dataset_class
from detkit.data.tiling import TileCutter, TrainingTiles
from detkit.data.workers import WorkerLoader, begin_worker
from detkit.errors import ConfigError
from detkit.interfaces import MixingTransform, Reader, Sampling, Transform
from detkit.pixels.pixel_format import PixelFormat
from detkit.registry import Fraction, NonNegativeInt, PositiveFloat, PositiveInt, Slot, Wired
from detkit.structures import ClassCounts, DatasetIndex, Sample

LOGGER = logging.getLogger("detkit.data")
Loader = DataLoader[Sample]


class DetectionData:
    """A data set as batches for training and validation; files are read when first needed.

    Args:
        path: Folder of the data set.
        reader: The reader of its format.
        train_split: Split to train on, if the data set has splits.
        validation_split: Split to validate on; if the data set has no `val`, or this is null, a
            fraction of the train split is held back.
        validation_fraction: That fraction.
        split_seed: Seed of that choice; independent of the run's seed, so that runs with different
            seeds validate on the same images.
        batch_size: Images per training step on each device; `auto` decides at the start of the
            training: the most that fit a GPU, or 8 or fewer on a CPU.
        validation_batch_size: Images per validation step on each device; null uses batch_size.
        workers: Processes that load images; 0 loads in the main process.
        multi_scale: Factors for resizing the images of a training batch after the transforms, such
            as [0.75, 1.0, 1.25]; null does not resize.
        multi_scale_every: Number of batches after which a new factor is drawn.
        sampling: How often an epoch repeats each training image; null uses each once.
        limit_images: Use only the first images of each split, for trial runs.
        channels: Channels of the images. 3 are red, green and blue, and grey images become RGB;
            with 1, colours become grey; the pages of a TIFF stack and the last axis of a NumPy file
            are channels. The backbone's first layer follows.
        value_range: The values of black and white in images of 16 bits or floating-point numbers,
            such as [0,65535]; they become 0 to 255 and keep their precision. Null reads 8 bits per
            channel.
        cache: Keep decoded images, resized where the first transforms only resize: `ram` in memory
            that workers share, `disk` in files. Null decodes them in each epoch.
        cache_limit: Gigabytes that they may take; what does not fit is decoded each time.
        cache_folder: Folder of the files; auto is `detkit/images` in the user's cache folder.
        tiling: Train on overlapping tiles of the images; validation during training measures
            their tiles too.
        index_cache: Folder that keeps the indices of large COCO data sets for the next start; auto
            is `detkit/indices` in the user's cache folder, null keeps none.
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
        masks: Wired[bool] = False,
        pad_multiple: Wired[int] = 32,
        proposals: Wired[ProposalFile | None] = None,
        train_split: str = DEFAULT_TRAIN_SPLIT,
        validation_split: str | None = DEFAULT_VALIDATION_SPLIT,
        validation_fraction: Fraction = 0.2,
        split_seed: NonNegativeInt = 0,
        batch_size: PositiveInt | Literal["auto"] = 8,
        validation_batch_size: PositiveInt | None = None,
        workers: NonNegativeInt = 2,
        multi_scale: list[PositiveFloat] | None = None,
        multi_scale_every: PositiveInt = 1,
        limit_images: PositiveInt | None = None,
        channels: PositiveInt = 3,
        value_range: tuple[float, float] | None = None,
        cache: CacheKind | None = None,
        cache_limit: PositiveFloat = 8.0,
        cache_folder: str = AUTOMATIC,
        index_cache: str | None = AUTOMATIC,
        tiling: Annotated[TrainingTiles | None, Block(TrainingTiles)] = None,
    ) -> None:
        self.indices = SplitIndices(
            Path(path).expanduser(),
            reader,
            train_split=train_split,
            validation_split=validation_split,
            validation_fraction=validation_fraction,
            split_seed=split_seed,
            limit_images=limit_images,
            cache=cache_at(index_cache),
        )
        self.train_transforms, self.evaluation_transforms = train_transforms, evaluation_transforms
        self.seed, self.masks, self.sampling = seed, masks, sampling
        self._batch_size, self._validation_batch_size = batch_size, validation_batch_size
        self.workers, self.pad_multiple, self.proposals = workers, pad_multiple, proposals
        self.mixing_epochs, self.pixels = mixing_epochs, _pixel_format(channels, value_range)
        settings = cache and CacheSettings(cache, cache_limit, image_folder(cache_folder))
        self._images = image_caches(settings, self.pixels, workers)
        self.multi_scale, self.multi_scale_every = multi_scale, multi_scale_every
        self._cut = TileCutter(tiling or TrainingTiles(), has_proposals=proposals is not None)

    def with_classes(self, class_names: list[str]) -> DetectionData:
        """The same data with labels by name in another list of classes, such as a checkpoint's.

        Reading raises DataError for objects of a class that is not in the list.
        """
        changed = copy.copy(self)
        changed.indices = self.indices.with_classes(class_names)
        return changed

    @property
    def batch_size(self) -> int:
        """Images per training step on each device; ConfigError if it is still `auto`."""
        return known_batch_size(self._batch_size)

    @property
    def path(self) -> Path:
        """Folder of the data set."""
        return self.indices.path

    @property
    def class_names(self) -> list[str]:
        """The classes in label order, from `with_classes` or else from the train split."""
        return self.indices.class_names

    @property
    def category_ids(self) -> list[int]:
        """The ids of the classes in the format of the data set."""
        return self.indices.category_ids

    @property
    def class_counts(self) -> ClassCounts:
        """How often each class occurs in the training images; DataError if there are none."""
        return ClassCounts.of(self.train_index)

    @property
    def train_index(self) -> DatasetIndex:
        """Images and objects to train on; DataError if there are none."""
        return self._cut(self.indices.training)

    @property
    def validation_index(self) -> DatasetIndex:
        """Images and objects to validate on, with the labels of the training images."""
        return self._cut(self.indices.validation, all_tiles=True)

    def describe(self) -> str:
        """One line: the folder, and the number of images, objects and classes."""
        indices = {"train": self.train_index, "validation": self.validation_index}
        return f"{self.path}: {describe_splits(indices, self.class_names)}"

    def train_loader(self, skip: tuple[int, int] = (0, 0)) -> Loader:
        """Shuffled, augmented batches, as a function of (seed, epoch).

        Args:
            skip: An epoch, and how many of its first batches to skip.
        """
        return self._loader(self._cached(self.train_dataset()), self.train_batches(skip))

    def train_batches(self, skip: tuple[int, int] = (0, 0)) -> TrainingBatches:
        """The keys of the samples of each training batch.

        Args:
            skip: An epoch, and how many of its first batches to skip.
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
        """The training samples by key, augmented.

        Raises:
            DataError: The detector learns masks, and no object has one, or the first image has
                other channels than `channels`.
        """
        if self.masks:
            require_masks(self.train_index)
        require_format(self.train_index, self.pixels)
        mixing = [n for n, t in self.train_transforms.items() if isinstance(t, MixingTransform)]
        if mixing and self.mixing_epochs <= 0:
            LOGGER.warning(
                "%s: in no epoch, because augmentation.close_mosaic covers all epochs",
                ", ".join(mixing),
            )
        elif mixing and self.mixing_epochs < math.inf:
            LOGGER.info(
                "%s: in the first %d epochs (augmentation.close_mosaic)",
                ", ".join(mixing),
                self.mixing_epochs,
            )
        return self._dataset(
            self.train_index,
            transforms=self.train_transforms,
            seed=self.seed,
            mixing_epochs=self.mixing_epochs,
        )

    def plain_dataset(self, index: DatasetIndex, is_measured: bool = False) -> DetectionDataset:
        """The samples of an index by key, with the evaluation transforms."""
        return self._dataset(
            index, transforms=self.evaluation_transforms, seed=self.seed, is_measured=is_measured
        )

    def _dataset(self, index: DatasetIndex, **settings: Any) -> DetectionDataset:
        settings["pixels"] = self.pixels
        if self.proposals is None:
            return dataset_class(index)(index, **settings)
        self.proposals.require(index)
        return ProposalDataset(index, proposals=self.proposals, **settings)

    def _cached(self, dataset: DetectionDataset) -> DetectionDataset:
        """The data set with the cache of its images, if there is one."""
        if self._images is not None and isinstance(dataset, TiledDataset):
            dataset.cache_windows(self._images)
        elif self._images is not None:
            dataset.images = self._images.of(dataset.index, dataset.transforms)
        return dataset

    def validation_loader(self) -> Loader:
        """All validation images in order."""
        return self.measuring_loader(self.validation_index)

    def measuring_loader(self, index: DatasetIndex) -> Loader:
        """All images of an index in order, with the evaluation transforms."""
        dataset = self._cached(self.plain_dataset(index, is_measured=True))
        batches = EvaluationBatches(
            len(index), batch_size=self._validation_batch_size or self.batch_size
        )
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
            # the global generator would make an epoch depend on what ran before
            generator=generator_of(WORKERS, self.seed),
        )


def _pixel_format(channels: int, value_range: tuple[float, float] | None) -> PixelFormat:
    """The format of the images.

    Raises:
        ConfigError: Black and white are the same value.
    """
    if value_range is not None and value_range[0] == value_range[1]:
        raise ConfigError(
            [f"data.value_range: {list(value_range)} has one value: give black and white."]
        )
    return PixelFormat(channels, value_range)
