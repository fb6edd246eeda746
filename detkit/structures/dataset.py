"""A data set's annotations as flat arrays, which worker processes share without copying."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray


class Fault(NamedTuple):
    """One thing that a reader found wrong in a data set.

    Attributes:
        what: "image", "box", "annotation file", ...
        why: The reason in a few words, the same for all of a kind.
        name: The file, relative to the root.
        box: The box as annotated (xyxy), where that is what is wrong.
        label: Its class in 0..C-1.
        detail: What was found, such as the two sizes that differ.
        left_out: Whether it is missing from the index; a box that reaches over the edge of its
            image is cut there and stays.
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
    """Images and annotations of a split without a counterpart, and matches of differing names.

    Attributes:
        annotation: What the format calls the annotation of an image: "label file", "XML file".
        matches: How many annotations belong to an image under another name, by the difference
            ("name ignoring case": 3).
        annotations_without_image: Their names, relative to the root.
        images_without_annotation: Their names, relative to the root.
        images_train: Whether images without an annotation are in the index, as background.
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
        category_ids: The C ids of the format itself (COCO), for results files; 1..C elsewhere.
        file_names: UTF-8 names of the N files, end to end.
        file_offsets: (N + 1,) int64; file i is `file_names[file_offsets[i]:file_offsets[i + 1]]`.
        image_ids: (N,) int64.
        sizes: (N, 2) int32 annotated (height, width), 0 where the format does not say.
        object_offsets: (N + 1,) int64; where the objects of image i start and those of i + 1.
        boxes: (M, 4) float32 absolute xyxy.
        labels: (M,) int64 in 0..C-1.
        ignored: (M,) bool, crowd and difficult objects.
        areas: (M,) float32 annotated areas, NaN where the format has none.
        dropped: What reading left out and why, one line each with count and file names.
        notes: What reading changed, in the same form: boxes clipped, boxes turned, first frames.
        unused: How many entries have a value that an index has no place for, by its name in the
            format ("segmentation", "truncated").
        faults: The same one by one, and the boxes that were cut at the edge of their image.
        pairing: Images and annotations without a counterpart.
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

    def __len__(self) -> int:
        return len(self.image_ids)

    def path(self, position: int) -> Path:
        """The file of the image at a position."""
        start, stop = self.file_offsets[position : position + 2]
        return self.root / self.file_names[start:stop].decode("utf-8", "surrogateescape")
