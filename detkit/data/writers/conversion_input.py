"""The input of writers: the pictures of each split and the classes, independent of formats."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from detkit.data.index_selection import relabel
from detkit.data.readers.voc_xml import Marks
from detkit.errors import DataError
from detkit.structures import DatasetIndex

UNDIVIDED = ""  # the only split of a data set without splits
_FIRST = (
    "train",
    "val",
    "test",
)  # the first of these splits determines the folder of a shared image


@dataclass(frozen=True)
class Picture:
    """One image with its objects, under the name that it gets.

    Attributes:
        path: The file.
        name: Its name in the written data set.
        home: The split whose folder holds it, where each has one.
        size: (height, width).
        boxes: (N, 4) float32 absolute xyxy.
        labels: (N,) int64.
        ignored: (N,) bool.
        areas: (N,) float32, NaN if the source has none.
        marks: Pose and truncation of each of the N objects; empty if unknown.
    """

    path: Path
    name: str
    home: str
    size: tuple[int, int]
    boxes: NDArray[np.float32]
    labels: NDArray[np.int64]
    ignored: NDArray[np.bool_]
    areas: NDArray[np.float32]
    marks: Sequence[Marks] = ()


@dataclass(frozen=True)
class Material:
    """A data set to be written.

    Attributes:
        class_names: The classes in label order, the same for all splits.
        category_ids: Their ids.
        splits: By split the id of each image and the picture.
        pictures: Each picture once, even if several splits contain it.
    """

    class_names: list[str]
    category_ids: list[int]
    splits: dict[str, list[tuple[int, Picture]]]
    pictures: list[Picture]


def gather(
    indices: Mapping[str, DatasetIndex],
    *,
    keep_ids: bool,
    unique_stems: bool,
    marks: Mapping[Path, Sequence[Marks]] = MappingProxyType({}),
) -> Material:
    """The pictures of all splits with a name for each.

    Args:
        indices: What was read, by split.
        keep_ids: Keep the ids of images; otherwise they are numbered through all splits, as the
            numbers of formats without ids start anew in each split.
        unique_stems: Names must differ without their suffixes too, as annotations are found by it.
        marks: VOC's marks of the objects of images, by file.
    """
    class_names, category_ids = _common_classes(indices)
    order = sorted(indices, key=lambda split: (*(split != name for name in _FIRST), split))
    pictures: dict[tuple[bytes, ...], Picture] = {}
    numbers: dict[tuple[bytes, ...], int] = {}
    names = _Names(unique_stems)
    splits: dict[str, list[tuple[int, Picture]]] = {}
    for split in order:
        index = relabel(indices[split], class_names, "the conversion")
        splits[split] = []
        for position, picture in enumerate(_pictures(index, split, marks)):
            # one file with other objects in another split is another picture
            key = (bytes(picture.path), picture.boxes.tobytes(), picture.labels.tobytes(),
                   picture.ignored.tobytes())  # fmt: skip
            if key not in pictures:
                pictures[key] = replace(picture, name=names.of(picture.path, index.root))
                numbers[key] = len(numbers) + 1
            number = int(index.image_ids[position]) if keep_ids else numbers[key]
            splits[split].append((number, pictures[key]))
    return Material(class_names, category_ids, splits, list(pictures.values()))


def _pictures(
    index: DatasetIndex, split: str, marks: Mapping[Path, Sequence[Marks]]
) -> Iterator[Picture]:
    for position in range(len(index)):
        objects = slice(*index.object_offsets[position : position + 2])
        height, width = (int(length) for length in index.sizes[position])
        yield Picture(
            path=index.path(position),
            name="",
            home=split,
            size=(height, width),
            boxes=index.boxes[objects],
            labels=index.labels[objects],
            ignored=index.ignored[objects],
            areas=index.areas[objects],
            marks=marks.get(index.path(position), ()),
        )


def _common_classes(indices: Mapping[str, DatasetIndex]) -> tuple[list[str], list[int]]:
    """The classes of all splits in order of appearance, each with a unique id."""
    ids: dict[str, int] = {}
    for index in indices.values():
        for name, number in zip(index.class_names, index.category_ids, strict=True):
            if name not in ids:
                used = set(ids.values())
                ids[name] = number if number not in used else max(used) + 1
    strange = [name for name in ids if name != name.strip() or not name.isprintable()]
    if strange:
        raise DataError(
            f"the class name {strange[0]!r} has spaces at its ends or characters that cannot be "
            "printed, which VOC and YOLO cannot hold: rename the class in the source."
        )
    return list(ids), list(ids.values())


class _Names:
    """Names of image files in one folder, so that no two are equal, even in capitals alone."""

    def __init__(self, unique_stems: bool) -> None:
        self.unique_stems = unique_stems
        self.taken: set[str] = set()

    def of(self, path: Path, root: Path) -> str:
        """The name of the file; if it is not unique, prefixed by its folder or with a number."""
        within = path.relative_to(root) if path.is_relative_to(root) else Path(path.name)
        for candidate in (path.name, "_".join(within.parts)):
            if self._take(name := _printable(candidate)):
                return name
        base, number = Path(name), 2
        while not self._take(name := f"{base.stem}_{number}{base.suffix}"):
            number += 1
        return name

    def _take(self, name: str) -> bool:
        key = (Path(name).stem if self.unique_stems else name).casefold()
        if key in self.taken:
            return False
        self.taken.add(key)
        return True


def _printable(name: str) -> str:
    """The name without newlines and other characters that lists of names cannot hold."""
    cleaned = "".join(sign if sign.isprintable() else "_" for sign in name).strip()
    stem = Path(cleaned).stem.strip().lstrip(".")  # hidden files are no images
    return f"{stem or 'image'}{Path(cleaned).suffix}"
