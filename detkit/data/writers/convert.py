"""Convert a data set to another format."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from detkit.data.fault_messages import sentences
from detkit.data.readers.auto import AutoReader, detect
from detkit.data.readers.coco_reader import CocoReader
from detkit.data.readers.cvat import CvatReader
from detkit.data.readers.labelme import LabelmeReader
from detkit.data.readers.openimages import OpenImagesReader
from detkit.data.readers.voc_reader import VocReader, marks_of
from detkit.data.readers.yolo_reader import YoloReader
from detkit.data.splits import require_split
from detkit.data.writers import coco_writer, voc_writer, yolo_writer
from detkit.data.writers.conversion_input import UNDIVIDED, Material, Picture, gather
from detkit.data.writers.division import Division
from detkit.data.writers.format_limits import losses
from detkit.errors import DataError, UserError
from detkit.files import is_below
from detkit.interfaces import Reader
from detkit.structures import DatasetIndex

WRITERS = {"coco": coco_writer, "voc": voc_writer, "yolo": yolo_writer}
READERS: dict[str, type[CocoReader | VocReader | YoloReader]] = {
    "coco": CocoReader,
    "voc": VocReader,
    "yolo": YoloReader,
}
SOURCES: dict[str, type[Reader]] = {
    **READERS,
    "cvat": CvatReader,
    "labelme": LabelmeReader,
    "openimages": OpenImagesReader,
}
COPY = ("link", "copy", "none")


class Count(NamedTuple):
    """Images and objects of a split."""

    images: int
    objects: int


@dataclass(frozen=True)
class Report:
    """The result of a conversion.

    Attributes:
        source: Format that was read.
        target: Format that was written.
        splits: Number of images and objects by split; "" if there are no splits.
        images: How many image files were "linked" and "copied".
        left_out: What reading dropped, one sentence per reason.
        changed: What reading changed, such as boxes cut at the edge of their image.
        losses: What the written format cannot hold, one sentence each.
    """

    source: str
    target: str
    splits: dict[str, Count]
    images: dict[str, int]
    left_out: list[str]
    changed: list[str]
    losses: list[str]


def convert(
    source: Path,
    target: Path,
    *,
    to: str,
    reader: Reader | None = None,
    splits: Sequence[str] | None = None,
    division: Division | None = None,
    copy: str = "link",
    keep_ignored: bool = False,
) -> Report:
    """Write a data set in another format; the source is not changed.

    All is written into a folder beside the target, read back, compared, and renamed at the end, so
    that a target is never half a data set.

    Args:
        source: Folder of the data set, in any form that is recognised.
        target: Folder to create; it may exist only if it is empty.
        to: "coco", "voc" or "yolo".
        reader: Reader of the source; None recognises the format.
        splits: The splits to convert; None converts all.
        division: How to divide a data set with at most one split into train and val.
        copy: "link" makes hard links, which take no space, and copies if the file system cannot;
            "copy" copies; "none" writes the annotations alone.
        keep_ignored: Write crowd and difficult objects as ordinary ones if the format has no
            mark for them, instead of leaving them out.

    Raises:
        DataError: The source cannot be read, or the target cannot be made.
    """
    source, target = source.expanduser(), target.expanduser()
    reader, kind = _source(reader, source)
    _check_target(source, target)
    indices = _read(reader, source, splits)
    if division is not None:
        indices = division.of(indices)
    left_out, changed = _faults(indices)
    marks = marks_of(source, indices.values()) if kind == to == "voc" else {}
    material = gather(indices, keep_ids=kind == "coco", unique_stems=to != "coco", marks=marks)
    lost = losses(kind, to, material, indices, keep_ignored=keep_ignored)
    if to == "yolo" and not keep_ignored:
        material = _without_ignored(material)
    placed = _make(target, material, to, copy)
    return Report(kind, to, _counts(material), placed, left_out, changed, lost)


def _source(reader: Reader | None, source: Path) -> tuple[Reader, str]:
    """The reader, recognised if necessary, and the name of its format."""
    if reader is None or isinstance(reader, AutoReader):
        reader = detect(source)
    kinds = (name for name, part in SOURCES.items() if isinstance(reader, part))
    return reader, next(kinds, type(reader).__name__)


def _faults(indices: Mapping[str, DatasetIndex]) -> tuple[list[str], list[str]]:
    """Sentences about what the reader dropped and changed, one per reason."""
    faults = dict.fromkeys(fault for index in indices.values() for fault in index.faults)
    left_out = sentences([fault for fault in faults if fault.left_out], short=True)
    return left_out, sentences([fault for fault in faults if not fault.left_out], short=True)


def _make(target: Path, material: Material, to: str, copy: str) -> dict[str, int]:
    """Write a data set to a temporary folder, check and move it; count images by way of copying."""
    folder = _side_folder(target)
    try:
        placed = _write(folder, material, to, copy)
        if copy != "none":
            _check_written(folder, to, material)
        folder.rename(target)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return placed


def _check_target(source: Path, target: Path) -> None:
    if target.is_symlink() or target.is_file():
        raise DataError(f"'{target}' exists and is no folder: name one that does not exist yet.")
    if target.is_dir() and any(target.iterdir()):
        raise DataError(
            f"the folder '{target}' is not empty: name one that does not exist yet, or empty it."
        )
    if is_below(target, source):
        raise DataError(
            f"'{target}' is inside the data set '{source}', which must not change: choose "
            "another folder."
        )


def _read(reader: Reader, source: Path, requested: Sequence[str] | None) -> dict[str, DatasetIndex]:
    available = reader.splits(source)
    if requested is not None:
        return {
            name: reader.read(source, name)
            for name in (require_split(split, available, "split") for split in requested)
        }
    return {name: reader.read(source, name or None) for name in available or [UNDIVIDED]}


def _without_ignored(material: Material) -> Material:
    def plain(picture: Picture) -> Picture:
        keep = ~picture.ignored
        return replace(
            picture,
            boxes=picture.boxes[keep],
            labels=picture.labels[keep],
            ignored=picture.ignored[keep],
            areas=picture.areas[keep],
        )

    changed = {id(picture): plain(picture) for picture in material.pictures}
    splits = {
        split: [(number, changed[id(picture)]) for number, picture in pictures]
        for split, pictures in material.splits.items()
    }
    return replace(material, splits=splits, pictures=list(changed.values()))


def _side_folder(target: Path) -> Path:
    """Create a folder next to the target, on the same file system."""
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        folder = tempfile.mkdtemp(
            prefix=f".{target.name}.", suffix=".unfinished", dir=target.parent
        )
        os.chmod(folder, 0o777 & ~_umask())  # mkdtemp makes it for this user alone
    except OSError as error:
        raise DataError(f"'{target}' cannot be made ({error}): name another place.") from error
    return Path(folder)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _write(folder: Path, material: Material, to: str, copy: str) -> dict[str, int]:
    """Write images and annotations; returns how the images came there."""
    placed: Counter[str] = Counter()
    try:
        for picture in material.pictures if copy != "none" else []:
            target = folder / WRITERS[to].image_place(picture)
            target.parent.mkdir(parents=True, exist_ok=True)
            placed[_place(picture.path, target, copy)] += 1
        WRITERS[to].write(folder, material)
    except OSError as error:
        raise DataError(
            f"writing stopped ({error}); nothing is left of it. Free some space or name another "
            "target."
        ) from error
    return dict(placed)


def _place(source: Path, target: Path, copy: str) -> str:
    file = source.resolve()  # a link to a link would break with the source's folder
    if copy == "link":
        try:
            os.link(file, target)
        except OSError:  # another file system, or one without links
            pass
        else:
            return "linked"
    shutil.copy2(file, target)
    return "copied"


def _counts(material: Material) -> dict[str, Count]:
    return {
        split: Count(len(pictures), sum(len(picture.labels) for _, picture in pictures))
        for split, pictures in material.splits.items()
    }


def _check_written(folder: Path, to: str, material: Material) -> None:
    """Read what was written, as a user will.

    Raises:
        RuntimeError: It is not what was to be written: a fault of the writer.
    """
    try:
        read: Mapping[str, DatasetIndex] = _read(READERS[to](), folder, None)
    except DataError as error:
        raise RuntimeError(f"the written data set cannot be read: {error}") from error
    counts = sorted(Count(len(index), len(index.labels)) for index in read.values())
    if counts != sorted(_counts(material).values()):
        faults = "; ".join(line for index in read.values() for line in index.dropped)
        raise RuntimeError(
            f"what was written reads back as {counts}, not {_counts(material)} ({faults})"
        )


def check_words(to: str | None, copy: str) -> None:
    """Raise UserError if the words of a command name an unknown format or way to copy."""
    if to not in WRITERS:
        problem = f"format={to} is none of them" if to else "it is missing"
        raise UserError(f"format=... says what to write: {', '.join(WRITERS)}; {problem}.")
    if copy not in COPY:
        raise UserError(f"copy={copy}: expected one of {', '.join(COPY)}.")
