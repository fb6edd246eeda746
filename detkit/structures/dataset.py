"""A data set's annotations as flat arrays, which worker processes share without copying."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from detkit.structures.index_outlines import IndexOutlines


class Fault(NamedTuple):
    """One fault that a reader found in a data set.

    Attributes:
        what: The kind of item: "image", "box", "annotation file", ...
        why: A short reason, the same for all faults of this kind.
        name: The file, relative to the root.
        box: The box as annotated (xyxy), if the box is at fault.
        label: Its class in 0..C-1.
        detail: Details, such as the two sizes that differ.
        left_out: Whether the index omits the item; a box that extends beyond its image is clipped
            and kept.
    """

    what: str
    why: str
    name: str
    box: tuple[float, float, float, float] | None = None
    label: int | None = None
    detail: str = ""
    left_out: bool = True


@dataclass(frozen=True)
class Pairing:
    """Unmatched images and annotations of a split, and matches between differing names.

    Attributes:
        annotation: The format's word for the annotation of an image: "label file", "XML file".
        matches: Number of annotations matched to an image with another name, by kind of difference
            ("name ignoring case": 3).
        annotations_without_image: Paths relative to the root.
        images_without_annotation: Paths relative to the root.
        images_train: Whether images without an annotation are in the index as background.
    """

    annotation: str = "annotation"
    matches: dict[str, int] = field(default_factory=dict)
    annotations_without_image: list[str] = field(default_factory=list)
    images_without_annotation: list[str] = field(default_factory=list)
    images_train: bool = True


@dataclass(frozen=True)
class DatasetIndex:
    """Images and objects of one split. N images, M objects.

    Attributes:
        root: The folder that file names are relative to.
        class_names: The C names, in label order.
        category_ids: The C ids that the format uses (COCO), for results files; else 1..C.
        file_names: UTF-8 names of the N files, end to end.
        file_offsets: (N + 1,) int64; file i is `file_names[file_offsets[i]:file_offsets[i + 1]]`.
        image_ids: (N,) int64.
        sizes: (N, 2) int32 annotated (height, width), 0 if not annotated.
        object_offsets: (N + 1,) int64; image i has objects
            `object_offsets[i]:object_offsets[i + 1]`.
        boxes: (M, 4) float32 absolute xyxy.
        labels: (M,) int64 in 0..C-1.
        ignored: (M,) bool, crowd and difficult objects.
        areas: (M,) float32 annotated areas, NaN if the format has none.
        dropped: Lines that name what the reader left out, why, how many, and in which files.
        notes: Lines that name what the reader changed: boxes clipped, boxes turned, first frames.
        unused: Number of entries with a value that the index cannot hold, by its name in the format
            ("segmentation", "truncated").
        faults: The items left out, one by one, and the boxes clipped to their image.
        pairing: Unmatched images and annotations.
        outlines: The masks of the objects; None unless they were asked for. Those of tiles are in
            pixels of the whole image.
        tiles: The part of its file that each image is; None where images are whole files.
    """

    root: Path
    class_names: list[str]
    category_ids: list[int]
    file_names: bytes
    file_offsets: NDArray[np.int64]
    image_ids: NDArray[np.int64]
    sizes: NDArray[np.int32]
    object_offsets: NDArray[np.int64]
    boxes: NDArray[np.float32]
    labels: NDArray[np.int64]
    ignored: NDArray[np.bool_]
    areas: NDArray[np.float32]
    dropped: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    unused: dict[str, int] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    pairing: Pairing = field(default_factory=Pairing)
    outlines: IndexOutlines | None = None
    tiles: IndexTiles | None = None

    def __len__(self) -> int:
        return len(self.image_ids)

    def path(self, position: int) -> Path:
        """The file of the image at a position."""
        start, stop = self.file_offsets[position : position + 2]
        return self.root / self.file_names[start:stop].decode("utf-8", "surrogateescape")


@dataclass(frozen=True)
class IndexTiles:
    """The tiles of an index. N tiles.

    Attributes:
        images: The index of the whole images.
        positions: (N,) int64 position of each tile's image in `images`.
        windows: (N, 4) int32 left, top, right and bottom of each tile in its image, in pixels.
    """

    images: DatasetIndex
    positions: NDArray[np.int64]
    windows: NDArray[np.int32]

    def select(self, tiles: NDArray[np.int64]) -> IndexTiles:
        """The tiles at these positions, in this order."""
        return replace(self, positions=self.positions[tiles], windows=self.windows[tiles])
