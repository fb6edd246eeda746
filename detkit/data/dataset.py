"""An index and transforms as a dataset of samples."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch.utils.data import Dataset

from detkit.data.images import UnreadableImageError, decode
from detkit.data.randomness import AUGMENTATION, generator_of
from detkit.data.transforms.geometry import scale_to
from detkit.errors import DataError
from detkit.interfaces import Transform
from detkit.structures import DatasetIndex, Sample, Target

LOGGER = logging.getLogger("detkit.data")


class Key(NamedTuple):
    """What one sample is a function of, the seed aside.

    Attributes:
        epoch: The epoch, for the random numbers of augmentation.
        position: The image's position in the index.
        scale: The factor of the batch for multi-scale training.
    """

    epoch: int
    position: int
    scale: float = 1.0


class DetectionDataset(Dataset[Sample]):
    """Samples by key: image decoded, transformed, and resized by the key's scale.

    A sample depends on (seed, key) only, never on which worker makes it. An image that cannot be
    decoded is replaced by the one at the next position, with a warning once per file and process,
    and is counted in `unreadable`; training goes on.

    Args:
        index: Images and objects.
        transforms: The steps in order.
        seed: Seed of the transforms' random numbers.
    """

    def __init__(
        self, index: DatasetIndex, *, transforms: Mapping[str, Transform], seed: int
    ) -> None:
        self.index = index
        self.transforms = dict(transforms)
        self.seed = seed
        self._has_areas = bool(np.isfinite(index.areas).any())
        # In shared memory, so that the main process sees what workers found.
        self._unreadable = torch.zeros(len(index), dtype=torch.bool)
        self._unreadable.share_memory_()  # type: ignore[no-untyped-call]

    def __len__(self) -> int:
        return len(self.index)

    @property
    def unreadable(self) -> list[str]:
        """The files that could not be decoded so far, in any worker."""
        return [str(self.index.path(p)) for p in self._unreadable.nonzero().flatten().tolist()]

    def __getitem__(self, key: Key) -> Sample:
        """The sample of a key.

        Raises:
            DataError: No image of the data set can be decoded.
        """
        count = len(self.index)
        for offset in range(count):
            position = (key.position + offset) % count
            try:
                sample = self.read(position)
            except UnreadableImageError as error:
                self._note_unreadable(position, error)
                continue
            return self._transform(sample, key._replace(position=position))
        raise DataError(f"none of the {count} images of '{self.index.root}' can be decoded.")

    def read(self, position: int) -> Sample:
        """The image and its objects as annotated, without transforms.

        Raises:
            UnreadableImageError: The file cannot be decoded, or its size is not the annotated one.
        """
        path = self.index.path(position)
        image = decode(path)
        height, width = (int(length) for length in self.index.sizes[position])
        if (height, width) not in (tuple(image.shape[-2:]), (0, 0)):
            raise UnreadableImageError(path, "size has changed since the index was read")
        target = self.target(position)
        return Sample(
            image=image,
            target=target,
            original_target=target,
            image_id=int(self.index.image_ids[position]),
            path=str(path),
            original_size=(int(image.shape[-2]), int(image.shape[-1])),
        )

    def target(self, position: int) -> Target:
        """The objects of an image, in its own coordinates; reads no file."""
        objects = slice(*self.index.object_offsets[position : position + 2])
        boxes = torch.from_numpy(self.index.boxes[objects].copy())
        areas = None
        if self._has_areas:
            sides = boxes[:, 2:] - boxes[:, :2]
            annotated = torch.from_numpy(self.index.areas[objects].copy())
            areas = torch.where(annotated.isfinite(), annotated, sides.prod(dim=1))
        return Target(
            boxes=boxes,
            labels=torch.from_numpy(self.index.labels[objects].copy()),
            ignored=torch.from_numpy(self.index.ignored[objects].copy()),
            areas=areas,
        )

    def _transform(self, sample: Sample, key: Key) -> Sample:
        generator = generator_of(AUGMENTATION, self.seed, key.epoch, key.position)
        for transform in self.transforms.values():
            sample = transform(sample, generator)
        if key.scale == 1:
            return sample
        height, width = (max(1, round(length * key.scale)) for length in sample.size)
        return scale_to(sample, (height, width))

    def _note_unreadable(self, position: int, error: UnreadableImageError) -> None:
        if not self._unreadable[position]:
            self._unreadable[position] = True
            LOGGER.warning(
                "cannot decode %s (%s); the next image takes its place",
                Path(error.path),
                error.reason,
            )
