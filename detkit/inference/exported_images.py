"""Images as the graph of an exported file sees them, resized in NumPy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from detkit.errors import UserError
from detkit.pixels.image_decoding import Pixels
from detkit.pixels.resizing import (
    Fit,
    Size,
    fit_letterbox,
    fit_short_side,
    place_pixels,
    resize_pixels,
)
from detkit.structures.exported import ExportedModel


class PreparedImage(NamedTuple):
    """An image as the network sees it.

    Attributes:
        pixels: (H, W, C), uint8 or float32.
        original_size: (height, width) of the image as decoded.
        to_image: (3, 3) map from the original image to `pixels`.
    """

    pixels: Pixels
    original_size: Size
    to_image: NDArray[np.float64]


def prepare_image(pixels: Pixels, model: ExportedModel) -> PreparedImage:
    """Resize an image as the transforms of the run's validation images do.

    `require_numpy_transforms` has refused other transforms.
    """
    original_size, to_image = pixels.shape[:2], np.eye(3)
    for node in model.resize.values():
        size: Size = pixels.shape[:2]
        fit, fill = fit_of(node, size)
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
            fit_of(node, (1, 1))
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


def fit_of(node: Mapping[str, Any], size: Size) -> tuple[Fit, int]:
    """Where a resizing transform puts an image of (height, width), and the grey around it."""
    return _RULES[node["name"]](node, size)
