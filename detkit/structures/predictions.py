"""The predictions of many images, as writers get them; imports no torch."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from PIL.Image import Image

Corners = tuple[float, float, float, float]


@dataclass(frozen=True)
class ImageRecord:
    """The detections of one image as plain values, best first. N detections.

    Attributes:
        number: The image's number in its source, from 1; the frame of a video.
        name: A file name without suffix that no other image of the source has.
        file_name: The image file, as the user named it.
        size: (height, width) in pixels.
        boxes: N corners x1, y1, x2, y2 in pixels of the original image.
        scores: N scores in 0..1.
        labels: N positions in the class names.
        segmentations: The N masks as COCO stores them; None without masks.
        tracks: The identity of each detection; None if nothing tracks them.
    """

    number: int
    name: str
    file_name: str
    size: tuple[int, int]
    boxes: Sequence[Corners]
    scores: Sequence[float]
    labels: Sequence[int]
    segmentations: Sequence[Any] | None = None
    tracks: Sequence[int] | None = None

    def __len__(self) -> int:
        return len(self.scores)

    def to_json(self) -> dict[str, Any]:
        """Plain values, from which `of_json` makes an equal record."""
        return dict(vars(self))

    @classmethod
    def of_json(cls, values: dict[str, Any]) -> ImageRecord:
        """The record that `to_json` turned into these values."""
        boxes = [tuple(box) for box in values["boxes"]]
        return cls(**{**values, "size": tuple(values["size"]), "boxes": boxes})


@dataclass(frozen=True)
class PredictedImage:
    """An image just after prediction: its detections, and its pixels on request.

    Attributes:
        record: Its detections.
        class_names: Names of all classes, in label order.
        draw: Draws the detections into the image.
        crops: Cuts each detection out of the image.
    """

    record: ImageRecord
    class_names: Sequence[str]
    draw: Callable[[], Image]
    crops: Callable[[], list[Image]]


class Predictions(Protocol):
    """The records of all readable images, in order; each iteration reads them from the disk.

    Attributes:
        class_names: Names of all classes, in label order.
        category_ids: The data set's id of each class.
    """

    class_names: Sequence[str]
    category_ids: Sequence[int]

    def __iter__(self) -> Iterator[ImageRecord]: ...


class Writer(Protocol):
    """Predictions as the files of one format; `detkit predict` writes them.

    File names are relative to the output folder and use `/`. Those of an image contain its name,
    which is unique. Both methods depend on their arguments alone: after an interruption,
    `image_files` runs again for the last image, and `final_files` sees the images of all parts.
    """

    def image_files(self, image: PredictedImage) -> Iterable[tuple[str, bytes]]:
        """The files about one image, as (name, content)."""
        ...

    def final_files(self, predictions: Predictions) -> Iterable[tuple[str, Iterable[str]]]:
        """The files about all images, as (name, pieces of text), so that none is whole in memory.

        They replace earlier files of their names in one step.
        """
        ...
