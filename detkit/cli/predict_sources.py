"""Where `detkit predict` gets its images from: one side of its loop.

A source gives images one by one, each with a number and a name. To add a kind of source, write a
class with the members of `Source`, and return it from `open_source`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from detkit.api.detector import Detector
from detkit.api.results import Result
from detkit.errors import DataError, UserError
from detkit.inference.sources import find_images, image_names


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

    def require_outside(self, output: Path) -> None:
        """Refuse an output folder whose files could replace the source.

        Raises:
            UserError: It is such a folder.
        """
        ...

    def results(
        self, detector: Detector, *, threshold: float, batch_size: int, start: int
    ) -> Iterator[NamedResult]:
        """Predict on all images but the first `start`, which are done."""
        ...


class ImageFiles:
    """Image files: one, those in a folder, or those that fit a pattern; see `Source`."""

    def __init__(self, source: str) -> None:
        self._paths = find_images(source)
        self.names = image_names(self._paths)
        self.count: int | None = len(self._paths)
        text = "\n".join(map(str, self._paths)).encode(errors="surrogateescape")
        self.identity = {"images": self.count, "sha256": hashlib.sha256(text).hexdigest()[:12]}

    def require_outside(self, output: Path) -> None:
        """Refuse a folder with one of the images, which a picture could replace."""
        inside = [path for path in self._paths if path.resolve().parent == output.resolve()]
        if inside:
            raise UserError(
                f"output={output}: the folder holds the input '{inside[0].name}': choose another "
                "folder."
            )

    def results(
        self, detector: Detector, *, threshold: float, batch_size: int, start: int
    ) -> Iterator[NamedResult]:
        """Predict on all images but the first `start`."""
        paths = self._paths[start:]
        if not paths:
            return
        results = detector.stream(paths, threshold=threshold, batch_size=batch_size)
        for index, (path, result) in enumerate(zip(paths, results, strict=True), start=start):
            yield NamedResult(index + 1, self.names[index], str(path), result)


def open_source(source: str) -> Source:
    """The source that `source=` names.

    Raises:
        UserError: It holds no images.
    """
    return ImageFiles(source)
