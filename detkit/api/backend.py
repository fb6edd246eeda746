"""What runs the network of a detector: a run in PyTorch, or an exported file in its engine."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from detkit.api.image_inputs import DecodeJPEG, ImageToRead
from detkit.pixels.pixel_format import PixelFormat
from detkit.structures import DetectionArrays


class Backend(Protocol):
    """What runs the network of a detector: a run in PyTorch, or an exported file in its engine.

    Attributes:
        source: The file that it was loaded from.
        class_names: Names of all classes, in label order.
        category_ids: The data set's id of each class.
        device: Where it runs, such as `cpu` or `cuda`.
        stride: The largest stride of the network, the least side of an image it can use.
        threshold: The minimum score unless the user sets another.
        threshold_origin: The reason for this value.
        class_thresholds: The minimum score of each class that was measured, by name, on request;
            None if none was measured.
        decode_jpeg: A faster decoder than PIL's, if it has one.
        pixels: Channels and value range of the images that it takes.
        has_masks: Whether its detections have masks.
    """

    source: str
    class_names: tuple[str, ...]
    category_ids: tuple[int, ...]
    device: str
    stride: int
    threshold: float
    threshold_origin: str
    class_thresholds: Mapping[str, float] | None
    decode_jpeg: DecodeJPEG | None
    pixels: PixelFormat
    has_masks: bool

    def prepare(self, image: ImageToRead) -> Any:
        """Decode an image and resize it for the network.

        The result has an attribute `original_size`.

        Raises:
            DataError: The image cannot be decoded.
        """
        ...

    def predict(self, samples: Sequence[Any]) -> list[DetectionArrays]:
        """Detect objects in prepared images, in coordinates of the original images."""
        ...

    def evaluate(self, data: str | None, overrides: Sequence[str]) -> dict[str, float]:
        """Measure on a data set; see `Detector.evaluate`."""
        ...
