"""An index and transforms as a dataset of samples."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from detkit.data.image_cache import CachedImages
from detkit.data.image_decoding import as_tensor, decode
from detkit.data.outline_decoding import decode_outlines
from detkit.data.randomness import AUGMENTATION, REPLACEMENT, generator_of
from detkit.data.sample_cache import RecentSamples
from detkit.data.transforms.geometry import scale_to
from detkit.errors import DataError
from detkit.interfaces import MixingTransform, Transform
from detkit.pixels.image_decoding import UnreadableImageError
from detkit.pixels.pixel_format import RGB8, PixelFormat
from detkit.structures import DatasetIndex, Sample, Target

LOGGER = logging.getLogger("detkit.data")
_KEPT = 64 * 2**20  # bytes: 52 images of 640 x 640 pixels
_BLANK_SIDE = 32  # pixels, for a blank image of unknown size
NAMED = 20  # unreadable files that are named; a disk that went away would name all


class Key(NamedTuple):
    """Everything that determines a sample, apart from the seed.

    Attributes:
        epoch: The epoch, for the random numbers of augmentation.
        position: The image's position in the index.
        scale: The factor of the batch for multi-scale training.
        repeat: How often the image has come before in the epoch, as rare classes make it do.
        group: Positions of the images that it may be mixed with; empty means all.
    """

    epoch: int
    position: int
    scale: float = 1.0
    repeat: int = 0
    group: tuple[int, ...] = ()


class DetectionDataset(Dataset[Sample]):
    """Samples by key: image decoded, transformed, and resized by the key's scale.

    A sample depends on (seed, key) only, never on which worker makes it. An image that cannot be
    decoded is replaced by others drawn from (seed, epoch, position), so that a run that is resumed
    takes the same ones; it is named once, counted in `unreadable`, and tried again each time, so
    that nothing has to be remembered. When half of the images are unreadable, training stops.

    A data set to measure on replaces no image, as this would change the result. There, an image
    that cannot be decoded is blank and has no detections, so its objects count as missed, as in
    other programs that measure a file of detections. The results table names it
    (detkit.data.unreadable_images).

    A transform that mixes several images draws the others from the key's group, with all earlier
    transforms applied. Meanwhile a cache keeps up to 64 MiB of the most recently decoded images, so
    that each group is decoded once; the cache does not affect the samples.

    Args:
        index: Images and objects.
        transforms: The steps in order.
        seed: Seed of the transforms' random numbers.
        mixing_epochs: Number of epochs that mix images; later ones skip these transforms.
        is_measured: Whether the samples are used for evaluation.
        pixels: Channels and value range of the images.
    """

    def __init__(
        self,
        index: DatasetIndex,
        *,
        transforms: Mapping[str, Transform | MixingTransform],
        seed: int,
        mixing_epochs: float = math.inf,
        is_measured: bool = False,
        pixels: PixelFormat = RGB8,
    ) -> None:
        self.index = index
        self.pixels = pixels
        self.images: CachedImages | None = None  # set to keep decoded images
        self.is_measured = is_measured
        self.transforms = transforms
        self._plain: dict[int, Transform] = {}
        self._mixing: dict[int, MixingTransform] = {}
        for step, transform in enumerate(transforms.values()):
            if isinstance(transform, MixingTransform):
                self._mixing[step] = transform
            else:
                self._plain[step] = transform
        self.seed = seed
        self.mixing_epochs = mixing_epochs
        # steps before the first that draws or mixes: what they make of an image can be kept
        self._fixed = min(self._mixing, default=0)
        self._recent = RecentSamples(_KEPT)
        self._has_areas = bool(np.isfinite(index.areas).any())
        # In shared memory, so that workers see what the main process decides.
        self._mixes = torch.ones((), dtype=torch.bool)
        self._mixes.share_memory_()  # type: ignore[no-untyped-call]
        # In shared memory, so that the main process sees what workers found.
        self._unreadable = torch.zeros(len(index), dtype=torch.bool)
        self._unreadable.share_memory_()  # type: ignore[no-untyped-call]

    def __len__(self) -> int:
        return len(self.index)

    def end_mixing(self) -> bool:
        """Stop mixing images, in all workers; return whether any were mixed."""
        self._mixes.fill_(False)
        return bool(self._mixing)

    @property
    def unreadable(self) -> list[str]:
        """The files that could not be decoded so far, in any worker."""
        return [str(self.index.path(position)) for position in self.unreadable_positions]

    @property
    def unreadable_positions(self) -> list[int]:
        """The positions of these files in the index."""
        return list(self._unreadable.nonzero().flatten().tolist())

    def __getitem__(self, key: Key) -> Sample:
        """The sample of a key.

        Raises:
            DataError: Half of the images that the data set has cannot be decoded.
        """
        again = (key.repeat,) if key.repeat else ()
        generator = generator_of(AUGMENTATION, self.seed, key.epoch, key.position, *again)
        sample = self._made(key, key.position, generator, len(self._plain) + len(self._mixing))
        height, width = (max(1, round(length * key.scale)) for length in sample.size)
        return scale_to(sample, (height, width))

    def _made(self, key: Key, position: int, generator: torch.Generator, steps: int) -> Sample:
        """An image after the first steps."""
        mixing = bool(self._mixing) and key.epoch < self.mixing_epochs and bool(self._mixes)
        is_kept = mixing or self.images is not None
        try:
            done, sample = self._kept(position, mixing) if is_kept else (0, self.read(position))
        except UnreadableImageError as error:
            # from a generator of its own: the transforms draw as for the image that was asked for
            done, sample = 0, self._stand_in(key.epoch, position, error)
        for step in range(done, steps):
            if step in self._plain:
                sample = self._plain[step](sample, generator)
            elif mixing:
                sample = self._mixed(sample, key, generator, step)
            else:
                self._recent.clear()
        return sample

    def _mixed(self, sample: Sample, key: Key, generator: torch.Generator, step: int) -> Sample:
        """The sample mixed with others of the group, after the steps before this one."""
        transform = self._mixing[step]
        group = key.group or range(len(self))
        drawn = torch.randint(len(group), (transform.count(generator),), generator=generator)
        partners = [self._made(key, group[index], generator, step) for index in drawn.tolist()]
        return transform.mix(sample, partners, generator) if partners else sample

    def _kept(self, position: int, mixing: bool) -> tuple[int, Sample]:
        """The number of deterministic first steps, and the image after them (cached)."""
        if mixing and (recent := self._recent.get(position)) is not None:
            return recent
        if self.images is None:
            cached = 0, self.read(position)
        else:
            cached = self.images.steps, self.images.sample(position, self.read)
        if mixing:
            cached = self._fixed_steps(*cached)
            self._recent.keep(position, *cached)
        return cached

    def _fixed_steps(self, done: int, sample: Sample) -> tuple[int, Sample]:
        """Apply the first steps that draw no random numbers; return their number and the sample."""
        generator = torch.Generator()
        before = generator.get_state()
        for step in range(done, self._fixed):
            changed = self._plain[step](sample, generator)
            if not generator.get_state().equal(before):
                self._fixed = step  # it is not tried again
                break
            sample = changed
        return self._fixed, sample

    def _stand_in(self, epoch: int, position: int, error: UnreadableImageError) -> Sample:
        """A sample in place of one that cannot be decoded."""
        self._note_unreadable(position, error)
        return self._blank(position) if self.is_measured else self._replacement(epoch, position)

    def _blank(self, position: int) -> Sample:
        """A black image of the annotated size, with the objects of the undecodable image."""
        height, width = (int(length) or _BLANK_SIDE for length in self.index.sizes[position])
        image = as_tensor(np.zeros((height, width, self.pixels.channels), self.pixels.dtype))
        return replace(self.read(position, image), is_decoded=False)

    def _replacement(self, epoch: int, position: int) -> Sample:
        """The first image that can be decoded, in an order drawn from (seed, epoch, position)."""
        generator = generator_of(REPLACEMENT, self.seed, epoch, position)
        for other in torch.randperm(len(self.index), generator=generator).tolist():
            try:
                return self.read(other)
            except UnreadableImageError as another:
                self._note_unreadable(other, another)
        raise DataError(self._too_many(len(self.index)))

    def read(self, position: int, image: Tensor | None = None) -> Sample:
        """The image and its objects as annotated, without transforms.

        Args:
            position: The position of the image in the index.
            image: Pixels to use instead of the file's.

        Raises:
            UnreadableImageError: The file cannot be decoded, or its size is not the annotated one.
        """
        path = self.index.path(position)
        image = decode(path, self.pixels) if image is None else image
        height, width = (int(length) for length in self.index.sizes[position])
        if (height, width) not in (tuple(image.shape[-2:]), (0, 0)):
            raise UnreadableImageError(path, "size has changed since the index was read")
        target = self.target(position)
        sample = Sample(
            image=image,
            target=target,
            original_target=target,
            image_id=int(self.index.image_ids[position]),
            path=str(path),
            original_size=(int(image.shape[-2]), int(image.shape[-1])),
        )
        return sample if self.index.outlines is None else self._with_masks(position, sample)

    def _with_masks(self, position: int, sample: Sample) -> Sample:
        """The sample with the masks of its objects, where they are used."""
        objects = range(*self.index.object_offsets[position : position + 2].tolist())
        decoded = decode_outlines(self.index, objects, sample.size)
        if self.is_measured:  # as annotated, since the metric clips as pycocotools does
            return sample.replace(original_target=replace(sample.target, outlines=decoded))
        clipped = decoded.clipped((0, 0), sample.size[::-1])
        return sample.replace(target=replace(sample.target, outlines=clipped))

    def target(self, position: int) -> Target:
        """The objects of an image, in its own coordinates; reads no file."""
        index = self.index
        objects = slice(*index.object_offsets[position : position + 2])
        boxes, areas = index.boxes[objects], None
        if self._has_areas:
            sides, annotated = boxes[:, 2:] - boxes[:, :2], index.areas[objects]
            areas = np.where(np.isfinite(annotated), annotated, sides[:, 0] * sides[:, 1])
        return Target(
            boxes=torch.from_numpy(boxes.copy()),
            labels=torch.from_numpy(index.labels[objects].copy()),
            ignored=torch.from_numpy(index.ignored[objects].copy()),
            areas=None if areas is None else torch.from_numpy(areas),
        )

    def _note_unreadable(self, position: int, error: UnreadableImageError) -> None:
        if self._unreadable[position]:
            return
        self._unreadable[position] = True
        count = int(self._unreadable.sum())
        if count * 2 > len(self.index) and count > 1:
            raise DataError(self._too_many(count)) from error
        if count <= NAMED:
            LOGGER.warning(
                "cannot decode %s (%s); %s",
                Path(error.path),
                error.reason,
                self._consequence(position),
            )
        if count == NAMED:
            LOGGER.warning("further images that cannot be decoded are counted, but not named")

    def _consequence(self, position: int) -> str:
        """The rest of the warning about an image that cannot be decoded."""
        if not self.is_measured:
            return "training uses another image instead"
        count = self.object_count(position)
        return f"it is measured without detections, so its objects ({count}) count as missed"

    def object_count(self, position: int) -> int:
        """The number of objects of an image that count in the metric."""
        return int((~self.target(position).ignored).sum())

    def _too_many(self, count: int) -> str:
        return (
            f"{count:,} of the {len(self.index):,} images of '{self.index.root}' cannot be decoded "
            "any more: check that the disk is still there, then resume the run. `detkit data "
            "check` names the files that are damaged."
        )
