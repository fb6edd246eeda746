"""OpenImages: CSV files of boxes, normalised by the image size."""

from __future__ import annotations

import csv
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

from detkit.data.readers.boolean_flags import is_true
from detkit.data.readers.folder_checks import (
    image_files,
    relative_name,
)
from detkit.data.readers.globox_reading import GloboxReader, boxed, globox, split_of_file
from detkit.data.readers.image_entries import WHOLE, ImageEntry, ObjectEntry
from detkit.image_files import files_below
from detkit.pixels.image_decoding import UnreadableImageError, read_size
from detkit.registry import register

_SIDES = ("XMin", "YMin", "XMax", "YMax")
_COLUMNS = {"ImageID", "LabelName", *_SIDES}
_MARKS = ("IsOccluded", "IsTruncated", "IsDepiction", "IsInside")
_PAIR = 2  # columns of a list of class names: code and name


def fits(path: Path) -> bool:
    """Whether a folder holds a CSV file of OpenImages."""
    return bool(find_files(path))


def count(path: Path) -> int:
    """Count the images of a folder with rows in a CSV file."""
    table = {file.stem: file for file in image_files(path)}
    return len({entry.image for f in find_files(path) for entry in _entries(f, path, table, {})})


def find_files(path: Path) -> list[Path]:
    """The CSV files of boxes below a folder, recognised by their columns."""
    return [f for f in sorted(files_below(path, (".csv",))) if set(_first_row(f)) >= _COLUMNS]


def _first_row(file: Path) -> list[str]:
    try:
        with file.open(encoding="utf-8-sig", newline="") as stream:
            return next(csv.reader(stream), [])
    except (OSError, UnicodeDecodeError, csv.Error):
        return []


@register("reader", "openimages")
class OpenImagesReader(GloboxReader):
    """CSV files of OpenImages boxes, converted to pixels by globox.

    Class names come from a CSV file of codes and names (class-descriptions-boxable.csv), if there
    is one. Groups of objects (IsGroupOf) are ignored, like COCO's crowds. Rows of images that are
    not in the folder are skipped without a warning, because the CSV files list millions. Splits
    come from the names of files and folders. Needs `pip install "detkit[formats]"`.
    """

    expected = f"OpenImages file: looked for *.csv with the columns {', '.join(sorted(_COLUMNS))}"
    annotation = "CSV row"

    def find_files(self, path: Path) -> list[Path]:
        """The CSV files of boxes below a folder."""
        return find_files(path)

    def entries(self, path: Path) -> tuple[list[ImageEntry], list[tuple[str, str]]]:
        """An entry for each image in the folder that has rows."""
        names = _class_names(path)
        images = {file.stem: file for file in image_files(path)}
        return [e for file in self.files(path) for e in _entries(file, path, images, names)], []


def _class_names(path: Path) -> dict[str, str]:
    """Names by code, from CSV files of two columns."""
    names: dict[str, str] = {}
    for file in sorted(files_below(path, (".csv",))):
        if len(_first_row(file)) == _PAIR:
            with file.open(encoding="utf-8-sig", newline="") as stream:
                names |= {row[0]: row[1].strip() for row in csv.reader(stream) if len(row) == _PAIR}
    return names


def _entries(
    file: Path, root: Path, images: dict[str, Path], names: dict[str, str]
) -> Iterator[ImageEntry]:
    """The entries of the images that are in the folder."""
    rows: dict[str, list[dict[str, str]]] = defaultdict(list)
    with file.open(encoding="utf-8-sig", newline="") as stream:
        for row in csv.DictReader(stream):
            identity = Path(row["ImageID"]).stem
            if identity in images:
                rows[identity].append(row)
    for identity, lines in rows.items():
        image = images[identity]
        try:
            height, width = read_size(image)
        except UnreadableImageError:
            height, width = 1, 1  # the index reports the image and leaves it out
        yield ImageEntry(
            source=f"{relative_name(file, root)}: {identity}",
            image=relative_name(image, root),
            split=split_of_file(file, root) or WHOLE,
            objects=[_object(row, (width, height), names) for row in lines],
            unused=Counter(
                mark for row in lines for mark in _MARKS if is_true(row.get(mark) or "")
            ),
        )


def _object(row: dict[str, str], size: tuple[int, int], names: dict[str, str]) -> ObjectEntry:
    code = row["LabelName"]

    def box() -> object:
        return globox().BoundingBox.create(
            label=names.get(code, code),
            coords=tuple(float(row[side]) for side in _SIDES),
            relative=True,
            image_size=size,
        )

    return boxed(box, names.get(code, code), is_true(row.get("IsGroupOf") or ""))
