"""Where `detkit predict` gets its images from: one side of its loop.

A source gives images one by one, each with a number and a name. To add a kind of source, write a
class with the members of `Source`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from detkit.api.detector import Detector
from detkit.api.results import Result
from detkit.api.thresholds import Threshold
from detkit.cli.predict_inputs import ImageInput
from detkit.errors import DataError
from detkit.inference.sources import image_names
from detkit.video.locations import without_password


class NamedResult(NamedTuple):
    """An image of a source after prediction.

    Attributes:
        number: Its number in the source, from 1; the frame of a video.
        name: A file name without suffix that no other image of the source has.
        file_name: The image file, as the user named it.
        result: Its detections, or the error if it cannot be read.
    """

    number: int
    name: str
    file_name: str
    result: Result | DataError


class Source(Protocol):
    """Images to predict on, in a fixed order.

    Attributes:
        count: How many there are; None if that is not known.
        names: The names of all images, or none if they are not known beforehand.
        identity: Plain values that differ if another source is meant. An interrupted prediction
            continues only if they are the same.
    """

    count: int | None
    names: Sequence[str]
    identity: Mapping[str, Any]

    def results(
        self, detector: Detector, *, threshold: Threshold, batch_size: int, start: int
    ) -> Iterator[NamedResult]:
        """Predict on all images but the first `start`, which are done."""
        ...


class ImageFiles:
    """Image files and addresses of images; see `Source`."""

    def __init__(self, images: Sequence[ImageInput]) -> None:
        self._images = images
        self.names: Sequence[str] = image_names([image.path for image in images])
        self.count: int | None = len(images)
        text = "\n".join(image.address for image in images).encode(errors="surrogateescape")
        self.identity: Mapping[str, Any] = {
            "images": self.count,
            "sha256": hashlib.sha256(text).hexdigest()[:12],
        }

    def results(
        self, detector: Detector, *, threshold: Threshold, batch_size: int, start: int
    ) -> Iterator[NamedResult]:
        """Predict on all images but the first `start`."""
        images = self._images[start:]
        if not images:
            return
        inputs = [image.content or image.address for image in images]
        results = detector.stream(inputs, threshold=threshold, batch_size=batch_size)
        for position, (image, result) in enumerate(zip(images, results, strict=True)):
            index, address = start + position, without_password(image.address)
            named = result
            if isinstance(result, DataError) and image.content:  # bytes have no name of their own
                text = str(result).replace(f"inputs[{position}]", f"the image '{address}'")
                named = DataError(text)
            yield NamedResult(index + 1, self.names[index], address, named)
