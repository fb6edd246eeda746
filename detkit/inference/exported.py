"""Predict with an exported file: images to the arrays that its graph takes, and boxes back."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from detkit.errors import UserError
from detkit.inference.engines.contract import Engine, RawArrays
from detkit.inference.engines.suppression import require_numpy_postprocess, suppress
from detkit.pixels.image_decoding import Pixels
from detkit.pixels.resizing import (
    Fit,
    Size,
    fit_letterbox,
    fit_short_side,
    place_pixels,
    resize_pixels,
)
from detkit.structures.arrays import DetectionArrays
from detkit.structures.exported import ExportedModel
from detkit.text import shortened

_REASON = 200  # letters of an engine's message


class PreparedImage(NamedTuple):
    """An image as the network sees it.

    Attributes:
        pixels: (H, W, 3) uint8.
        original_size: (height, width) of the image as decoded.
        to_image: (3, 3) map from the original image to `pixels`.
    """

    pixels: Pixels
    original_size: Size
    to_image: NDArray[np.float64]


def prepare_image(pixels: Pixels, model: ExportedModel) -> PreparedImage:
    """Resize an image as the transforms of the run's validation images do.

    Raises:
        UserError: One of these transforms needs PyTorch.
    """
    original_size, to_image = pixels.shape[:2], np.eye(3)
    for node in model.resize.values():
        size: Size = pixels.shape[:2]
        fit, fill = _fit(node, size)
        pixels = place_pixels(resize_pixels(pixels, fit.inner), fit, fill)
        factors = fit.inner[1] / size[1], fit.inner[0] / size[0]
        step = np.array([[factors[0], 0, fit.left], [0, factors[1], fit.top], [0, 0, 1]])
        to_image = step @ to_image
    return PreparedImage(pixels, original_size, to_image)


def require_numpy_transforms(model: ExportedModel, source: str) -> None:
    """Refuse a file whose images need transforms that are not written in NumPy.

    Raises:
        UserError: There is one.
    """
    for node in model.resize.values():
        try:
            _fit(node, (1, 1))
        except KeyError as error:
            raise UserError(
                f"{source}: its images need the transform '{node['name']}' with the settings "
                f"{dict(node)}, which runs only in PyTorch: load the run instead, or export it "
                "with resize, resize_exact or letterbox alone."
            ) from error


def _resize(node: Mapping[str, Any], size: Size) -> tuple[Fit, int]:
    keys = ("short_side", "long_side", "multiple", "enlarge")
    return fit_short_side(size, **{key: node[key] for key in keys}), 0


def _resize_exact(node: Mapping[str, Any], size: Size) -> tuple[Fit, int]:
    exact = node["height"], node["width"]
    return Fit(exact, exact), 0


def _letterbox(node: Mapping[str, Any], size: Size) -> tuple[Fit, int]:
    keys = ("height", "width", "centred", "enlarge")
    return fit_letterbox(size, **{key: node[key] for key in keys}), node["fill"]


_RULES: dict[str, Callable[[Mapping[str, Any], Size], tuple[Fit, int]]] = {
    "resize": _resize,
    "resize_exact": _resize_exact,
    "letterbox": _letterbox,
}


def _fit(node: Mapping[str, Any], size: Size) -> tuple[Fit, int]:
    """Where a transform puts an image of a size, and the grey around it."""
    return _RULES[node["name"]](node, size)


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

    def place(self, images: NDArray[np.uint8], sizes: Sequence[Size]) -> NDArray[np.float32]:
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
        return [
            DetectionArrays(boxes[:count], scores[:count], labels[:count])
            for boxes, scores, labels, count in zip(*outputs, strict=True)
        ]

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
