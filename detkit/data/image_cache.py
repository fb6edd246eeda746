"""Keep decoded and resized images, in memory or in files, so that later epochs need not decode."""

from __future__ import annotations

import logging
import multiprocessing
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from detkit.data.image_decoding import as_tensor
from detkit.data.image_stores import CacheFolder, FileStore, ImageStore, MemoryStore, require_memory
from detkit.data.transforms import resampling
from detkit.data.transforms.resizing import RESIZING
from detkit.errors import ConfigError
from detkit.interfaces import MixingTransform, Transform
from detkit.pixels.pixel_format import PixelFormat
from detkit.pixels.tiles import Window
from detkit.structures import DatasetIndex, Sample, Target
from detkit.text import counted

LOGGER = logging.getLogger("detkit.data")
CacheKind = Literal["ram", "disk"]
Read = Callable[[int, Tensor | None], Sample]
Shape = tuple[int, int, int]
GIGABYTE = 10**9


class CacheSettings(NamedTuple):
    """What `data.cache` and its companions say.

    Attributes:
        kind: Where images are kept.
        limit: Gigabytes that they may take.
        folder: Where files are.
    """

    kind: CacheKind
    limit: float
    folder: Path


class CachedImages:
    """The images of an index after the first steps that only resize.

    Only pixels are kept. Boxes are read and moved each time, by the same steps, so that samples are
    bit-equal with and without the cache, and a change of the annotations has its effect.

    Args:
        store: Keeps the pixels.
        resizing: The first steps.
        index: The images.
        pixels: Their channels and value range.

    Attributes:
        steps: The number of these steps.
    """

    def __init__(
        self,
        store: ImageStore,
        resizing: Sequence[Transform],
        index: DatasetIndex,
        pixels: PixelFormat,
    ) -> None:
        self._store, self._resizing, self._index, self._pixels = store, resizing, index, pixels
        self.steps = len(resizing)

    def sample(self, position: int, read: Read) -> Sample:
        """The sample after these steps.

        Args:
            position: The image's position in the index.
            read: Reads a sample, with the pixels of the file or with others.
        """
        pixels = self._store.get(position)
        if pixels is None:
            sample = _resized(read(position, None), self._resizing)
            self._store.put(position, sample.image.permute(1, 2, 0).numpy())
            return sample
        size = tuple(self._index.sizes[position].tolist())
        outline = _outline(size, self._pixels)
        return _resized(read(position, outline), self._resizing).replace(image=as_tensor(pixels))


class CachedWindows:
    """Windows of whole images that are decoded once.

    Args:
        store: Keeps the pixels of the whole images.
    """

    def __init__(self, store: ImageStore) -> None:
        self._store = store

    def window(self, position: int, window: Window, decode: Callable[[], Tensor]) -> Tensor:
        """The pixels (C, H, W) of a window.

        Args:
            position: The image's position in its index.
            window: The part of the image.
            decode: Decodes the whole image.
        """
        left, top, right, bottom = window
        pixels = self._store.get(position, (slice(top, bottom), slice(left, right)))
        if pixels is not None:
            return as_tensor(pixels)
        image = decode()
        self._store.put(position, image.permute(1, 2, 0).numpy())
        return image[:, top:bottom, left:right]


def _outline(size: Sequence[int], pixels: PixelFormat) -> Tensor:
    """An image that has only a size; see detkit/data/transforms/geometry.py."""
    dtype = torch.uint8 if pixels.value_range is None else torch.float32
    return torch.empty((*size, pixels.channels), dtype=dtype, device="meta").permute(2, 0, 1)


def _resized(sample: Sample, resizing: Sequence[Transform]) -> Sample:
    generator = torch.Generator()  # these steps draw nothing
    for step in resizing:
        sample = step(sample, generator)
    return sample


class ImageCaches:
    """The caches of the data sets of a run; each index with its transforms has one.

    Args:
        settings: Where, and how much.
        pixels: Channels and value range of the images.
    """

    def __init__(self, settings: CacheSettings, pixels: PixelFormat) -> None:
        self._settings, self._pixels = settings, pixels
        self._room = round(settings.limit * GIGABYTE)  # for images in memory
        self._files: CacheFolder | None = None
        self._stores: dict[tuple[int, str], tuple[DatasetIndex, ImageStore]] = {}

    def of(
        self, index: DatasetIndex, transforms: Mapping[str, Transform | MixingTransform]
    ) -> CachedImages:
        """The cache for the images of an index; the first call logs how much it takes.

        Raises:
            DataError: There is less memory than it may take.
        """
        resizing = _first_resizing(transforms)
        return CachedImages(self._shared(index, resizing), resizing, index, self._pixels)

    def windows(self, index: DatasetIndex) -> CachedWindows:
        """The cache for windows of the images of an index; see `of`."""
        return CachedWindows(self._shared(index, []))

    def _shared(self, index: DatasetIndex, resizing: Sequence[Transform]) -> ImageStore:
        """The store for the images of an index after the steps, the same at each call."""
        description = "; ".join(f"{type(step).__name__} {vars(step)}" for step in resizing)
        key = id(index), description
        if key not in self._stores:
            shapes = _shapes(index, resizing, self._pixels)
            # processors that resize in other ways give slightly other pixels
            settings = f"{self._pixels} {description} {resampling.RESIZES_BYTES}"
            self._stores[key] = index, self._store(index, shapes, settings)
        return self._stores[key][1]

    def _store(self, index: DatasetIndex, shapes: Sequence[Shape], settings: str) -> ImageStore:
        sizes = np.array([np.prod(shape) for shape in shapes], dtype=np.int64)
        sizes *= np.dtype(self._pixels.dtype).itemsize
        kind, limit, folder = self._settings
        room = self._room if kind == "ram" else round(limit * GIGABYTE)
        fitting = int(np.searchsorted(sizes.cumsum(), room, side="right"))
        self._log(sizes, fitting)
        if kind == "disk":
            self._files = self._files or CacheFolder(folder, room)
            return FileStore(
                self._files,
                index,
                shapes[:fitting],
                settings=settings,
                dtype=self._pixels.dtype,
            )
        taken = int(sizes[:fitting].sum())
        require_memory(taken)
        self._room -= taken
        return MemoryStore(shapes[:fitting], self._pixels.dtype)

    def _log(self, sizes: NDArray[np.int64], fitting: int) -> None:
        """Log how much the images take, and which of them fit."""
        kind, limit, folder = self._settings
        where = f" in {folder}" if kind == "disk" else ""
        text = (
            f"data.cache={kind}: {counted(len(sizes), 'image')}, decoded and resized, take "
            f"{sizes.sum() / GIGABYTE:.2f} GB{where} (data.cache_limit={limit:g})"
        )
        if fitting < len(sizes):
            text += f"; the first {fitting:,} fit, and the others are decoded each time"
        LOGGER.info("%s", text)


def image_caches(
    settings: CacheSettings | None, pixels: PixelFormat, workers: int
) -> ImageCaches | None:
    """The caches of decoded images; None without a cache.

    Raises:
        ConfigError: Workers are started as new programs, which cannot share memory.
    """
    if settings is None:
        return None
    if settings.kind == "ram" and workers and multiprocessing.get_start_method() != "fork":
        raise ConfigError(
            [
                "data.cache: 'ram' needs workers that are forked, which this system does not do: "
                "set data.cache=disk, or data.workers=0."
            ]
        )
    return ImageCaches(settings, pixels)


def _first_resizing(transforms: Mapping[str, Any]) -> list[Transform]:
    """The first steps, as long as they only resize."""
    steps: list[Transform] = []
    for step in transforms.values():
        if type(step) not in RESIZING:  # a subclass may do anything
            break
        steps.append(step)
    return steps


def _shapes(index: DatasetIndex, resizing: Sequence[Transform], pixels: PixelFormat) -> list[Shape]:
    """(height, width, channels) of each image after the first steps; run once for each size."""
    results: dict[tuple[int, ...], Shape] = {}
    for size in {tuple(size) for size in index.sizes.tolist()}:
        nothing = Target.empty()
        sample = Sample(_outline(size, pixels), nothing, nothing, 0, "", (size[0], size[1]))
        # a plugin's reader may not know sizes; such images take no room and are not kept
        height, width = _resized(sample, resizing).size if all(size) else (0, 0)
        results[size] = height, width, pixels.channels
    return [results[tuple(size)] for size in index.sizes.tolist()]
