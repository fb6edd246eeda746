"""Recognise the format of a data set by the content of its files."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from detkit.data.index_cache import SourcedReader, Sources
from detkit.data.readers import coco_reader, cvat, labelme, openimages, voc_reader, yolo_reader
from detkit.data.readers.annotation_kinds import count_images, has_coco_lists
from detkit.data.readers.coco_files import find_annotations
from detkit.data.readers.folder_checks import require_folder
from detkit.data.readers.unrecognised import explain
from detkit.data.readers.voc_files import xml_files
from detkit.data.readers.yolo_pairs import looks_like_labels
from detkit.errors import DataError
from detkit.image_files import files_below
from detkit.interfaces import Reader
from detkit.registry import Wired, register
from detkit.structures import DatasetIndex
from detkit.text import counted

LOGGER = logging.getLogger("detkit.data")
_SAMPLE = 50  # text files that show how many of them are label files


class Format(NamedTuple):
    """An annotation format.

    Attributes:
        name: The name of its reader.
        title: Its usual name, for messages.
        reader: Builds its reader with default settings.
        fits: Whether a folder holds data in this format, by the content of its files.
        count: About how many images of a folder have an annotation in this format.
    """

    name: str
    title: str
    reader: Callable[[], Reader]
    fits: Callable[[Path], bool]
    count: Callable[[Path], int]


@register("reader", "auto")
class AutoReader:
    """COCO, Pascal VOC, YOLO, CVAT, Labelme or OpenImages, recognised by the content of the files.

    If a folder holds several formats, detkit reads the one that annotates the most images, and
    prints its choice. The formats' settings have their defaults; name the reader to change them.
    """

    def __init__(self, *, masks: Wired[bool] = False) -> None:
        self.masks = masks
        self._readers: dict[Path, Reader] = {}

    def splits(self, path: Path) -> list[str]:
        """The splits that the format of the folder names."""
        return self._reader(path).splits(path)

    def read(self, path: Path, split: str | None) -> DatasetIndex:
        """The index that the format's reader makes."""
        return self._reader(path).read(path, split)

    def sources(self, path: Path) -> Sources | None:
        """The sources of the format's reader, if it knows them."""
        reader = self._reader(path)
        return reader.sources(path) if isinstance(reader, SourcedReader) else None

    def _reader(self, path: Path) -> Reader:
        if path not in self._readers:
            reader = detect(path)
            if self.masks and isinstance(reader, coco_reader.CocoReader):
                reader = coco_reader.CocoReader(masks=True)
            self._readers[path] = reader
        return self._readers[path]


def detect(path: Path) -> Reader:
    """The reader for the format of a folder.

    Raises:
        DataError: No format fits; the message says what the folder holds and what is missing.
    """
    require_folder(path)
    formats, errors = _fitting(path)
    if len(formats) > 1:
        return _largest(path, formats)
    if formats:
        return formats[0].reader()
    if errors:
        raise errors[0]
    if coco_reader.fits(path):  # named like a COCO file: its reader explains the fault
        return coco_reader.CocoReader()
    raise DataError(explain(path, _title))


def _fitting(path: Path) -> tuple[list[Format], list[DataError]]:
    """The formats of a folder, and the errors of files that show a format but are wrong."""
    formats: list[Format] = []
    errors: list[DataError] = []
    for form in FORMATS:
        try:
            if form.fits(path):
                formats.append(form)
        except DataError as error:
            errors.append(error)
    return formats, errors


def _largest(path: Path, formats: list[Format]) -> Reader:
    """The reader of the format that annotates the most images; the first one on a tie."""
    counts = {form: form.count(path) for form in formats}
    best = max(formats, key=lambda form: counts[form])
    descriptions = {form: f"{form.title} ({counted(counts[form], 'image')})" for form in formats}
    alternatives = [form for form in formats if form != best]
    LOGGER.info(
        "%s holds annotations in several formats: %s. Reading %s, because no other annotates more "
        "images; set data.reader=%s to read %s instead.",
        path,
        ", ".join(descriptions.values()),
        best.title,
        alternatives[0].name,
        alternatives[0].title,
    )
    return best.reader()


def _title(path: Path) -> str | None:
    """The format of a folder, or None."""
    formats, _ = _fitting(path)
    return formats[0].title if formats else None


def _has_coco(path: Path) -> bool:
    return any(map(has_coco_lists, find_annotations(path).values()))


def _count_coco(path: Path) -> int:
    return sum(map(count_images, find_annotations(path).values()))


def _count_voc(path: Path) -> int:
    return len(xml_files(path))


def _count_yolo(path: Path) -> int:
    """The number of text files times the share of label files in a sample."""
    files = sorted(files_below(path, (".txt",)))
    sample = files[:: max(1, len(files) // _SAMPLE)]
    return round(len(files) * sum(map(looks_like_labels, sample)) / max(1, len(sample)))


# Richest format first: on a tie in the number of images, the first one is read.
FORMATS = (
    Format("coco", "COCO", coco_reader.CocoReader, _has_coco, _count_coco),
    Format("voc", "Pascal VOC", voc_reader.VocReader, voc_reader.fits, _count_voc),
    Format("yolo", "YOLO", yolo_reader.YoloReader, yolo_reader.fits, _count_yolo),
    Format("cvat", "CVAT", cvat.CvatReader, cvat.fits, cvat.count),
    Format("labelme", "Labelme", labelme.LabelmeReader, labelme.fits, labelme.count),
    Format(
        "openimages",
        "OpenImages",
        openimages.OpenImagesReader,
        openimages.fits,
        openimages.count,
    ),
)
