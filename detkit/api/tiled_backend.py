"""Any detector, run on overlapping tiles of each image; imports no torch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any, NamedTuple

from detkit.api.backend import Backend
from detkit.api.detector import Detector
from detkit.api.image_inputs import ImageToRead
from detkit.inference.tile_detections import TileQueue
from detkit.inference.tiling import Tiling
from detkit.pixels.image_decoding import Pixels
from detkit.pixels.resizing import Size
from detkit.pixels.tiles import Window
from detkit.structures.arrays import DetectionArrays


class DecodedImage(NamedTuple):
    """An image before it is cut into tiles.

    Attributes:
        pixels: (H, W, C) of the whole image.
        original_size: Its (height, width).
        source: Where it is from.
    """

    pixels: Pixels
    original_size: Size
    source: ImageToRead


class TiledBackend:
    """Runs another backend on the tiles of each image; see `Backend` for its attributes.

    Memory holds the images of one call and the tiles of one batch, however many tiles there are.

    Args:
        backend: Runs the network.
        tiling: How images are cut, and detections merged.

    Raises:
        UserError: The tiles are too small for the network.
    """

    def __init__(self, backend: Backend, tiling: Tiling) -> None:
        tiling.require_stride(backend.stride)
        self._backend, self.tiling = backend, tiling
        self.source = backend.source
        self.class_names, self.category_ids = backend.class_names, backend.category_ids
        self.device, self.stride = backend.device, backend.stride
        self.threshold, self.threshold_origin = backend.threshold, backend.threshold_origin
        self.class_thresholds = backend.class_thresholds
        self.decode_jpeg, self.pixels = backend.decode_jpeg, backend.pixels
        self.has_masks = backend.has_masks

    def prepare(self, image: ImageToRead) -> DecodedImage:
        """Decode an image; its tiles are made when the detector takes them."""
        pixels = image.pixels()
        return DecodedImage(pixels, (pixels.shape[0], pixels.shape[1]), image)

    def predict(self, samples: Sequence[DecodedImage]) -> list[DetectionArrays]:
        """Detect objects in images, tile by tile, in coordinates of the images."""
        queue: TileQueue[DecodedImage] = TileQueue(self.tiling)
        tiles = (
            self._tile(sample, window)
            for sample in samples
            for window in queue.add(sample, sample.original_size)
        )
        return [detections for _, detections in queue.finish(self._detected(tiles))]

    def _detected(self, tiles: Iterator[Any]) -> Iterator[DetectionArrays]:
        while batch := list(islice(tiles, self.tiling.batch_size)):
            yield from self._backend.predict(batch)

    def evaluate(self, data: str | None, overrides: Sequence[str]) -> dict[str, float]:
        """Measure on a data set, with tiles."""
        return self._backend.evaluate(data, [self.tiling.override(), *overrides])

    def _tile(self, sample: DecodedImage, window: Window) -> Any:
        source, (left, top, right, bottom) = sample.source, window
        pixels = sample.pixels[top:bottom, left:right]
        tile = ImageToRead(
            decode=lambda: pixels,
            path=None,  # what belongs to the file, such as its proposals, fits no tile
            description=f"the tile at x={left}, y={top} of {source.description}",
        )
        return self._backend.prepare(tile)


def tiled(backend: Backend, tiling: Tiling | None) -> Detector:
    """A detector that works on tiles, or on whole images if `tiling` is None.

    Raises:
        UserError: The tiles are too small for the network.
    """
    return Detector(backend if tiling is None else TiledBackend(backend, tiling))
