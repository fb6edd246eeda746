"""Detection in tiles of the images of a data set."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice

import torch
from torch import Tensor

from detkit.inference.tile_detections import TileQueue
from detkit.inference.tiling import Tiling
from detkit.interfaces import Transform
from detkit.pixels.tiles import Window
from detkit.structures import Batch, DetectionArrays, Detections, Sample, Target

DetectedBatch = tuple[Batch, list[Detections]]
Detect = Callable[[Iterable[Batch]], Iterator[DetectedBatch]]


class TiledDetection:
    """Cuts the images of a loader into tiles, detects in batches of tiles, and merges.

    The tiles of an image smaller than a tile give the same batches as without tiling.

    Args:
        detect: Yields each batch of images with its detections in original coordinates.
        tiling: How images are cut, and detections merged.
        transforms: The evaluation transforms, for the tiles.
        collate: Makes a batch of samples.
        batch_size: Tiles per batch.
    """

    def __init__(
        self,
        detect: Detect,
        tiling: Tiling,
        *,
        transforms: Mapping[str, Transform],
        collate: Callable[[Sequence[Sample]], Batch],
        batch_size: int,
    ) -> None:
        self._detect, self._tiling = detect, tiling
        self._transforms, self._collate, self._batch_size = transforms, collate, batch_size

    def __call__(self, images: Iterable[Batch]) -> Iterator[DetectedBatch]:
        """Yield each batch of untransformed images with its detections in original coordinates.

        Args:
            images: Batches of one image each, so that memory holds few whole images.
        """
        queue: TileQueue[Batch] = TileQueue(self._tiling)
        tiles = (
            self._tile(image, window)
            for image in images
            for window in queue.add(image, image.image_sizes[0])
        )
        for image, detections in queue.finish(self._detected(tiles)):
            yield image, image.without_blank([Detections.of(detections)])

    def _detected(self, tiles: Iterator[Sample]) -> Iterator[DetectionArrays]:
        for _, detections in self._detect(self._batches(tiles)):
            yield from (image.arrays() for image in detections)

    def _batches(self, tiles: Iterator[Sample]) -> Iterator[Batch]:
        while samples := list(islice(tiles, self._batch_size)):
            yield self._collate(samples)

    def _tile(self, image: Batch, window: Window) -> Sample:
        left, top, right, bottom = window
        sample = Sample(
            image=_channels_innermost(image.images[0, :, top:bottom, left:right]),
            target=Target.empty(),
            original_target=Target.empty(),
            image_id=image.image_ids[0],
            path=image.paths[0],
            original_size=window.size,
        )
        generator = torch.Generator()  # evaluation transforms draw nothing
        for transform in self._transforms.values():
            sample = transform(sample, generator)
        return sample


def _channels_innermost(image: Tensor) -> Tensor:
    """The same image (C, H, W) in the order in which files are decoded, which resizes faster."""
    return image.permute(1, 2, 0).contiguous().permute(2, 0, 1)
