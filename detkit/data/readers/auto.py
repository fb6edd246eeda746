"""The format of a folder found by what lies in it."""

from __future__ import annotations

from pathlib import Path

from detkit.data.readers import coco, voc, yolo
from detkit.data.readers.folders import require_folder
from detkit.errors import DataError
from detkit.interfaces import Reader
from detkit.registry import register
from detkit.structures import DatasetIndex


@register("reader", "auto")
class AutoReader:
    """COCO, Pascal VOC or YOLO, whichever the folder looks like.

    The formats' own settings are at their defaults; name the reader to change them.
    """

    def splits(self, path: Path) -> list[str]:
        """The splits that the format of the folder names."""
        return detect(path).splits(path)

    def read(self, path: Path, split: str | None) -> DatasetIndex:
        """The index that the format's reader makes."""
        return detect(path).read(path, split)


def detect(path: Path) -> Reader:
    """The reader whose format a folder looks like.

    Raises:
        DataError: None fits; the message says what was looked for.
    """
    require_folder(path)
    if coco.fits(path):
        return coco.CocoReader()
    if voc.fits(path):
        return voc.VocReader()
    if yolo.fits(path):
        return yolo.YoloReader()
    shown = sorted(entry.name + "/" * entry.is_dir() for entry in path.iterdir())
    more = ", ..." if len(shown) > 8 else ""  # noqa: PLR2004
    raise DataError(
        f"the format of '{path}' is not recognised. It holds: {', '.join(shown[:8])}{more}. Looked "
        "for COCO (annotations/instances_<split>.json, <split>.json), Pascal VOC "
        "(Annotations/*.xml) and YOLO (data.yaml or classes.txt, images/ and labels/). Set "
        "data.path to the folder that holds these, or name the format in data.reader."
    )
