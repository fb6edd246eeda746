"""Samples that are tiles of larger images."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np
from torch import Tensor

from detkit.data.detection_dataset import DetectionDataset
from detkit.data.image_cache import CachedWindows, ImageCaches
from detkit.data.image_decoding import as_tensor, decode
from detkit.data.outline_decoding import decode_outlines
from detkit.pixels.channels import decode_numpy_window
from detkit.pixels.image_decoding import UnreadableImageError
from detkit.pixels.numpy_files import is_numpy
from detkit.pixels.tiles import Window
from detkit.structures import DatasetIndex, Sample
from detkit.structures.dataset import IndexTiles


class TiledDataset(DetectionDataset):
    """A dataset of tiles by key, for an index that `cut_index` made.

    A tile of a NumPy file reads its window only. Formats of photographs cannot be read in part, so
    without a cache every tile decodes its whole image.
    """

    _windows: CachedWindows | None = None

    def cache_windows(self, caches: ImageCaches) -> None:
        """Keep whole images, so that a tile reads its window only."""
        self._windows = caches.windows(self._tiles.images)

    def read(self, position: int, image: Tensor | None = None) -> Sample:
        """The tile and its objects; see `DetectionDataset.read`."""
        return super().read(position, self._pixels(position) if image is None else image)

    @property
    def _tiles(self) -> IndexTiles:
        if self.index.tiles is None:
            raise ValueError("the index has whole images; use a DetectionDataset")
        return self.index.tiles

    def _pixels(self, position: int) -> Tensor:
        """The pixels (C, H, W) of a tile.

        Raises:
            UnreadableImageError: The file cannot be decoded, or its size is not the annotated one.
        """
        images, image = self._tiles.images, int(self._tiles.positions[position])
        window = Window(*self._tiles.windows[position].tolist())
        left, top, right, bottom = window
        path, (height, width) = images.path(image), images.sizes[image].tolist()
        if is_numpy(path):
            rows, columns = slice(top, bottom), slice(left, right)
            part = decode_numpy_window(path, self.pixels, rows, columns, (height, width))
            return as_tensor(part)
        if self._windows is not None:
            return self._windows.window(image, window, partial(self._whole, image))
        return self._whole(image)[:, top:bottom, left:right]

    def _whole(self, image: int) -> Tensor:
        images = self._tiles.images
        pixels = decode(images.path(image), self.pixels)
        if pixels.shape[-2:] != tuple(images.sizes[image].tolist()):
            raise UnreadableImageError(
                images.path(image), "size has changed since the index was read"
            )
        return pixels

    def _with_masks(self, position: int, sample: Sample) -> Sample:
        """The sample with the parts of the masks that are inside the tile."""
        objects = range(*self.index.object_offsets[position : position + 2].tolist())
        tiles = self._tiles
        height, width = tiles.images.sizes[tiles.positions[position]].tolist()
        left, top = tiles.windows[position, :2].tolist()
        shift = np.array([[1, 0, -left], [0, 1, -top], [0, 0, 1]], np.float64)
        decoded = decode_outlines(self.index, objects, (height, width)).moved(shift)
        target = replace(sample.target, outlines=decoded.clipped((0, 0), sample.size[::-1]))
        if self.is_measured:
            return sample.replace(original_target=target)
        return sample.replace(target=target)


def dataset_class(index: DatasetIndex) -> type[DetectionDataset]:
    """The class of the dataset for an index of whole images, or of tiles."""
    return DetectionDataset if index.tiles is None else TiledDataset
