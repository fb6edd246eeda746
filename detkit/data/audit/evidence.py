"""The input of all checks: the splits of a data set as read, and the facts of its files."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from detkit.data.audit.image_scan import FileFacts, scan
from detkit.data.readers.folder_checks import image_files, relative_name, require_split
from detkit.data.splits import find_split
from detkit.errors import DataError
from detkit.interfaces import Reader
from detkit.structures import DatasetIndex, Fault

T = TypeVar("T")
Watch = Callable[[Iterable[T], int], Iterable[T]]
WHOLE = "all"  # the name for a data set without splits


@dataclass(frozen=True)
class Resizing:
    """The size of images after the `resize` transform, and the strides of the detector.

    Args:
        short_side: Length that the short side of an image gets.
        long_side: Largest length of the long side; null sets no limit.
        enlarge: Whether small images are enlarged.
        strides: Strides of the detector's levels in pixels, finest first.
    """

    short_side: int = 640
    long_side: int | None = 1066
    enlarge: bool = False
    strides: tuple[int, ...] = (8, 16, 32, 64, 128)

    def factors(self, sizes: NDArray[np.int32]) -> NDArray[np.float64]:
        """(N, 2) heights and widths to the (N,) factors by which the images are resized."""
        sides = np.maximum(sizes.astype(np.float64), 1)
        factors: NDArray[np.float64] = self.short_side / sides.min(axis=1)
        if self.long_side is not None:
            factors = np.minimum(factors, self.long_side / sides.max(axis=1))
        return factors if self.enlarge else np.minimum(factors, 1.0)


@dataclass(frozen=True)
class Split:
    """One split as its reader gives it. N images, M objects.

    Attributes:
        name: What the data set calls it.
        index: Its images and objects.
        files: The facts of the N files; empty if they were not checked.
    """

    name: str
    index: DatasetIndex
    files: Sequence[FileFacts] = ()

    @cached_property
    def names(self) -> list[str]:
        """The N files, relative to the data folder."""
        ends = self.index.file_offsets.tolist()
        return [
            self.index.file_names[start:stop].decode("utf-8", "surrogateescape")
            for start, stop in pairwise(ends)
        ]

    @cached_property
    def owners(self) -> NDArray[np.int64]:
        """(M,) position of each object's image."""
        return np.repeat(np.arange(len(self.index)), np.diff(self.index.object_offsets))

    @cached_property
    def class_counts(self) -> NDArray[np.int64]:
        """(C,) objects of each class."""
        return np.bincount(self.index.labels, minlength=len(self.index.class_names))

    def faults(self, kind: str) -> list[Fault]:
        """Faults of a kind ("image", "box", ...) that reading found."""
        return [fault for fault in self.index.faults if fault.what == kind]

    def lost(self, kind: str) -> int:
        """The number of faults of this kind that dropped something."""
        return sum(fault.left_out for fault in self.faults(kind))

    @property
    def image_count(self) -> int:
        """Images that the split lists, including dropped ones."""
        return len(self.index) + self.lost("image")

    @property
    def box_count(self) -> int:
        """Boxes in the annotations, including dropped ones."""
        return len(self.index.labels) + self.lost("box")


@dataclass(frozen=True)
class Evidence:
    """A data set as the checks see it.

    Attributes:
        path: Its folder.
        splits: What could be read.
        refused: What could not be read, and why.
        unions: Splits that are skipped because they are unions of others ("trainval").
        unlisted: Image files below the folder that no split and no fault names.
        resizing: What the detector will see.
        declared: The names of all splits of the data set, including those that are not checked.
    """

    path: Path
    splits: list[Split]
    refused: dict[str, str] = field(default_factory=dict)
    unions: dict[str, list[str]] = field(default_factory=dict)
    unlisted: list[str] = field(default_factory=list)
    resizing: Resizing = field(default_factory=Resizing)
    declared: list[str] = field(default_factory=list)

    @property
    def train(self) -> Split | None:
        """The split that detkit trains on."""
        return self._role("train")

    @property
    def validation(self) -> Split | None:
        """The split to validate on; None if a part of the training split is held back."""
        return self._role("val")

    def _role(self, role: str) -> Split | None:
        match = find_split(role, [split.name for split in self.splits])
        if role == "train" and match is None and len(self.splits) == 1:
            return self.splits[0]
        return next((split for split in self.splits if split.name == match), None)

    @property
    def image_counts(self) -> dict[str, int]:
        """Images of each split."""
        return {split.name: split.image_count for split in self.splits}

    @property
    def box_counts(self) -> dict[str, int]:
        """Boxes of each split."""
        return {split.name: split.box_count for split in self.splits}


def plain(items: Iterable[T], count: int) -> Iterable[T]:
    """The items themselves, without progress."""
    return items


def read_splits(
    reader: Reader, path: Path, requested: Sequence[str] | None
) -> tuple[list[Split], dict[str, str], dict[str, list[str]]]:
    """Readable splits, unreadable ones with reasons, and splits that combine others.

    Raises:
        DataError: The folder is no data set that the reader knows, or has no such split.
    """
    declared = _in_order(reader.splits(path))
    names: list[str | None] = [find_split(name, declared) or name for name in requested or declared]
    for name in names if requested else []:
        require_split(path, str(name), declared)
    splits, refused = [], {}
    for split in names or [None]:
        try:
            splits.append(Split(split or WHOLE, reader.read(path, split)))
        except DataError as error:
            refused[split or WHOLE] = str(error)
    unions = {} if requested else _unions(splits)
    return [split for split in splits if split.name not in unions], refused, unions


def _in_order(names: Sequence[str]) -> list[str]:
    """Splits as one thinks of them: training, validation, the others."""
    roles = [find_split(role, list(names)) for role in ("train", "val")]
    return sorted(names, key=lambda name: roles.index(name) if name in roles else len(roles))


def _unions(splits: Sequence[Split]) -> dict[str, list[str]]:
    """Splits that hold exactly the files of two or more others together."""
    files = {split.name: set(split.names) for split in splits}
    unions = {}
    for name, members in files.items():
        parts = [other for other, theirs in files.items() if theirs and theirs < members]
        if len(parts) > 1 and set().union(*(files[part] for part in parts)) == members:
            unions[name] = parts
    return unions


def gather(
    reader: Reader,
    path: Path,
    *,
    requested: Sequence[str] | None = None,
    resizing: Resizing | None = None,
    threads: int | None = None,
    watch: Watch[tuple[Path, FileFacts]] = plain,
) -> Evidence:
    """Read a data set and decode each of its images once.

    Args:
        reader: Of its format.
        path: Its folder.
        requested: Splits to look at; None takes all but those that are others together.
        resizing: What the detector will see.
        threads: Images decoded at once.
        watch: Iterates over the scanned items, with their number, and may show the progress.

    Raises:
        DataError: The folder is no data set that the reader knows, or has no such split.
    """
    splits, refused, unions = read_splits(reader, path, requested)
    paths = list(dict.fromkeys(file for split in splits for file in _paths(split)))
    facts = dict(watch(scan(paths, threads), len(paths)))
    looked_at = [
        Split(split.name, split.index, [facts[file] for file in _paths(split)]) for split in splits
    ]
    unlisted = [] if requested or refused else _unlisted(path, splits)
    declared = reader.splits(path)
    return Evidence(path, looked_at, refused, unions, unlisted, resizing or Resizing(), declared)


def _paths(split: Split) -> Iterator[Path]:
    return (split.index.path(position) for position in range(len(split.index)))


def _unlisted(path: Path, splits: Sequence[Split]) -> list[str]:
    listed = {name for split in splits for name in split.names}
    listed |= {fault.name for split in splits for fault in split.index.faults}
    listed |= {n for split in splits for n in split.index.pairing.images_without_annotation}
    return [name for file in image_files(path) if (name := relative_name(file, path)) not in listed]
