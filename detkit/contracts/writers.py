"""Contracts of writers: files inside the folder, the same each time, for any detections."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import PurePosixPath

from PIL import Image

from detkit.contracts.case import CLASS_NAMES, Subject
from detkit.contracts.tensor_checks import require
from detkit.structures import ImageRecord, PredictedImage
from detkit.structures.predictions import Writer

_FULL = ImageRecord(
    number=1,
    name="a photo",
    file_name="photos/a photo.jpg",
    size=(40, 60),
    boxes=[(0.0, 0.0, 30.0, 20.0), (10.5, 5.25, 60.0, 40.0)],
    scores=[0.9, 0.25],
    labels=[2, 0],
    tracks=[7, 8],
)
_EMPTY = replace(
    _FULL,
    number=2,
    name="ü-2",
    file_name="photos/ü.png",
    boxes=[],
    scores=[],
    labels=[],
    tracks=[],
)
_MASKED = replace(
    _FULL,
    number=3,
    name="masked",
    file_name="photos/masked.png",
    segmentations=[[[0.0, 0.0, 5.0, 0.0, 5.0, 5.0]], []],
)


class _Records:
    """Three images, as `Predictions` describes them."""

    class_names: Sequence[str] = CLASS_NAMES
    category_ids: Sequence[int] = (3, 7, 8)

    def __init__(self, *records: ImageRecord) -> None:
        self._records = records

    def __iter__(self) -> Iterator[ImageRecord]:
        return iter(self._records)


def files_are_named_after_their_image(subject: Subject) -> None:
    """Relative names below the folder, and none that another image has too."""
    writer = subject.build()
    names: set[str] = set()
    for record in (_FULL, _EMPTY, _MASKED):
        files = _image_files(writer, record)
        shared = names & files.keys()
        require(
            not shared,
            f"two images give the file {min(shared, default='')}: use `image.record.name`.",
        )
        names |= files.keys()
    for name in names | _final_files(writer, _FULL, _EMPTY, _MASKED).keys():
        parts = PurePosixPath(name).parts
        require(
            bool(parts) and ".." not in parts and not PurePosixPath(name).is_absolute(),
            f"the file name {name!r} does not stay in the output folder: give a relative one.",
        )


def detections_give_files(subject: Subject) -> None:
    """Something is written about an image with detections, with and without masks."""
    writer = subject.build()
    for record in (_FULL, _MASKED):
        files = {**_image_files(writer, record), **_final_files(writer, record)}
        require(any(files.values()), "it wrote nothing about two detections.")


def no_detections_are_handled(subject: Subject) -> None:
    """Images without detections, and no image at all."""
    writer = subject.build()
    _image_files(writer, _EMPTY)
    for records in ((_EMPTY,), ()):
        _final_files(writer, *records)


def files_depend_on_the_arguments_alone(subject: Subject) -> None:
    """A second call, or another object, gives the same bytes: predictions can be continued."""
    first, second = subject.build(), subject.build()
    for record in (_FULL, _EMPTY):
        expected = _image_files(first, record)
        require(
            _image_files(first, record) == expected == _image_files(second, record),
            "the same image gives other files the second time: keep no state, no time or number.",
        )
    require(
        _final_files(first, _FULL, _EMPTY) == _final_files(second, _FULL, _EMPTY),
        "`final_files` depends on more than its argument: an interrupted prediction is finished "
        "by a new object.",
    )


def _image_files(writer: Writer, record: ImageRecord) -> Mapping[str, bytes]:
    height, width = record.size
    image = PredictedImage(
        record,
        CLASS_NAMES,
        draw=lambda: Image.new("RGB", (width, height)),
        crops=lambda: [Image.new("RGB", (8, 8)) for _ in record.boxes],
    )
    files = dict(writer.image_files(image))
    for name, content in files.items():
        require(isinstance(content, bytes), f"the content of {name} is no bytes.")
    return files


def _final_files(writer: Writer, *records: ImageRecord) -> Mapping[str, str]:
    return {name: "".join(pieces) for name, pieces in writer.final_files(_Records(*records))}
