"""Predict with an exported file: batches as its graph takes them, and boxes back."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from detkit.errors import UserError
from detkit.inference.engines.contract import Engine, RawArrays
from detkit.inference.engines.suppression import require_numpy_postprocess, suppress
from detkit.inference.exported_images import PreparedImage
from detkit.pixels.resizing import Size
from detkit.structures.arrays import DetectionArrays
from detkit.text import shortened

_REASON = 200  # letters of an engine's message


class ExportedPredictor:
    """Detects objects with an exported file. Threads may share it.

    Args:
        engine: Runs the file.
        source: The file, for messages.

    Raises:
        UserError: The file needs post-processing that is not written in NumPy.
    """

    def __init__(self, engine: Engine, source: str) -> None:
        require_numpy_postprocess(engine.model, source)
        self._engine, self._model, self._source = engine, engine.model, source

    def predict(self, images: Sequence[PreparedImage]) -> list[DetectionArrays]:
        """Detect objects, in coordinates of the original images.

        Images that take different canvases run separately, so that no result depends on the others.
        """
        by_canvas: dict[Size, list[int]] = {}
        for position, image in enumerate(images):
            by_canvas.setdefault(self._canvas(image.pixels.shape[:2]), []).append(position)
        results: dict[int, DetectionArrays] = {}
        for canvas, positions in by_canvas.items():
            batch = self._blank(len(positions), canvas)
            for target, position in zip(batch, positions, strict=True):
                pixels = images[position].pixels
                target[:, : pixels.shape[0], : pixels.shape[1]] = pixels.transpose(2, 0, 1)
            results |= zip(positions, self.run(batch), strict=True)
        return [
            results[position].to_original(image.to_image, image.original_size)
            for position, image in enumerate(images)
        ]

    def run(self, images: NDArray[np.float32]) -> Iterator[DetectionArrays]:
        """The detections of images (B, 3, H, W) in their own pixels, whatever batch the file takes.

        Yields:
            The detections of each image.
        """
        limit = self._model.batch or len(images)
        for start in range(0, len(images), limit):
            part = images[start : start + limit]
            if len(part) < limit:  # the file takes exactly `limit` images
                blank = self._blank(limit - len(part), part.shape[2:])
                part = np.concatenate([part, blank])
            yield from self._detections(part)[: len(images) - start]

    def graph_input(self, images: NDArray[np.uint8], sizes: Sequence[Size]) -> NDArray[np.float32]:
        """Images (B, 3, H, W) with padding of any colour as the graph takes them.

        Args:
            images: They fill the top left of their pixels.
            sizes: (height, width) of each image.
        """
        canvas = self._canvas((images.shape[2], images.shape[3]))
        batch = self._blank(len(images), canvas)
        for target, image, (height, width) in zip(batch, images, sizes, strict=True):
            target[:, :height, :width] = image[:, :height, :width]
        return batch

    def _detections(self, images: NDArray[np.float32]) -> list[DetectionArrays]:
        try:
            outputs = self._engine(images)
        except MemoryError:
            raise
        except Exception as error:  # each engine has its own classes
            shape, reason = " x ".join(map(str, images.shape)), " ".join(str(error).split())
            raise UserError(
                f"{self._source}: cannot run on images of {shape} ({shortened(reason, _REASON)}): "
                "look into the certificate beside it, or export it again with a fixed size."
            ) from error
        if isinstance(outputs, RawArrays):
            return suppress(outputs, self._model.postprocess or {})
        return list(outputs.split((images.shape[2], images.shape[3])))

    def _canvas(self, size: Size) -> Size:
        """The size that the graph takes for an image of a size.

        Raises:
            UserError: The graph's size is fixed, and smaller.
        """
        fixed, multiple = self._model.size, self._model.pad_multiple
        if fixed is None:
            return -(-size[0] // multiple) * multiple, -(-size[1] // multiple) * multiple
        if size[0] > fixed[0] or size[1] > fixed[1]:
            raise UserError(
                f"{self._source}: takes images of {fixed[0]} x {fixed[1]} (height x width), and "
                f"one is {size[0]} x {size[1]} after resizing: export with size=dynamic, with a "
                "larger size, or from a run whose validation images get a letterbox."
            )
        return fixed

    def _blank(self, count: int, canvas: Size) -> NDArray[np.float32]:
        """Images (B, 3, H, W) of nothing but padding."""
        column = np.array(self._model.padding, np.float32)[:, None, None]
        return np.tile(column, (count, 1, *canvas))
