"""Contracts of readers and samplings: an index of flat arrays, and repeats of images."""

from __future__ import annotations

import contextlib
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detkit.contracts.case import CLASS_NAMES, BrokenContractError, LeftOutError, Subject
from detkit.contracts.tensor_checks import require, require_same, unchanged
from detkit.data.image_decoding import decode
from detkit.errors import UserError
from detkit.pixels.image_decoding import UnreadableImageError
from detkit.structures import DatasetIndex

_DECODED = 5  # images that are decoded
_TYPES = {
    "file_offsets": np.int64,
    "image_ids": np.int64,
    "sizes": np.int32,
    "object_offsets": np.int64,
    "boxes": np.float32,
    "labels": np.int64,
    "ignored": np.bool_,
    "areas": np.float32,
}


def _data(subject: Subject) -> Path:
    if subject.data is None:
        raise LeftOutError(
            "needs a data set in its format: data.path=FOLDER (in a test, "
            f"cases('reader', '{subject.name}', data=FOLDER))"
        )
    return subject.data


def missing_data_raises_a_clear_error(subject: Subject) -> None:
    """A missing or empty folder raises a UserError, such as DataError, that names the folder."""
    reader = subject.build()
    with tempfile.TemporaryDirectory() as base:
        empty = Path(base) / "empty_folder"
        empty.mkdir()
        for folder in (empty, Path(base) / "absent_folder"):
            try:
                reader.splits(folder)
                index = reader.read(folder, None)
            except UserError as error:
                is_named = folder.name in str(error)
                require(
                    is_named, f"the error for '{folder.name}' does not name the folder: {error}"
                )
            else:
                is_generated = isinstance(index, DatasetIndex) and len(index) > 0
                require(
                    is_generated,  # some readers generate their data set
                    f"'{folder.name}' contains no data set but was read without an error: raise "
                    "DataError that names the expected files.",
                )


def every_split_can_be_read(subject: Subject) -> None:
    """`read` accepts each name that `splits` returns, and refuses others with an error.

    None reads all images; a data set with splits may refuse it with a UserError.
    """
    reader, data = subject.build(), _data(subject)
    splits = reader.splits(data)
    fits = isinstance(splits, list) and all(isinstance(name, str) for name in splits)
    require(fits, f"`splits` returned {splits!r}, expected a list of names.")
    names = None
    for split in splits or [None]:
        index = reader.read(data, split)
        _require_index(index, f"split '{split}'" if split else "all images")
        names = names or index.class_names
        require(
            index.class_names == names,
            f"split '{split}' has the classes {index.class_names}, the previous one {names}: all "
            "splits must have the same classes in the same order.",
        )
    all_images = None
    with contextlib.suppress(UserError):
        all_images = reader.read(data, None)
    if all_images is not None:
        _require_index(all_images, "all images")
    try:
        reader.read(data, "no_such_split")
    except UserError:
        return
    if splits:
        raise BrokenContractError(
            f"the split 'no_such_split' was read without an error, but the splits are {splits}: "
            "raise DataError that lists them."
        )


def _require_index(index: Any, description: str) -> None:
    if not isinstance(index, DatasetIndex):
        raise BrokenContractError(
            f"{description}: it returned {type(index).__name__}, expected a DatasetIndex."
        )
    images, count = len(index.image_ids), len(index.labels)
    require(images > 0, f"{description}: there is no image; raise DataError instead.")
    for name, dtype in _TYPES.items():
        array = getattr(index, name)
        fits = isinstance(array, np.ndarray) and array.dtype == dtype
        kind = getattr(array, "dtype", type(array).__name__)
        require(fits, f"{description}: {name} is {kind}, expected an array of {dtype.__name__}.")
    _require_offsets(
        index.file_offsets, images, len(index.file_names), f"{description}: file_offsets"
    )
    _require_offsets(index.object_offsets, images, count, f"{description}: object_offsets")
    shapes = (index.sizes.shape, index.boxes.shape, index.ignored.shape, index.areas.shape)
    expected = ((images, 2), (count, 4), (count,), (count,))
    require(
        shapes == expected,
        f"{description}: sizes, boxes, ignored and areas are {shapes}, expected {expected} for "
        f"{images} images and {count} objects.",
    )
    distinct = len(set(index.image_ids.tolist())) == images
    require(
        distinct, f"{description}: two images have the same id, so only one would be evaluated."
    )
    classes = len(index.class_names)
    same = len(index.category_ids) == classes == len(set(index.class_names))
    require(same, f"{description}: class names must be unique, with one category id each.")
    if count:
        lowest, highest = int(index.labels.min()), int(index.labels.max())
        inside = lowest >= 0 and highest < classes
        require(
            inside, f"{description}: labels {lowest} to {highest}, expected 0 to {classes - 1}."
        )
        require_boxes(index, description)


def _require_offsets(offsets: NDArray[np.int64], images: int, end: int, description: str) -> None:
    fits = offsets.shape == (images + 1,) and offsets[0] == 0 and offsets[-1] == end
    fits = fits and bool((np.diff(offsets) >= 0).all())
    require(
        fits,
        f"{description} must increase from 0 to {end} in {images + 1} numbers (images + 1).",
    )


def require_boxes(index: DatasetIndex, description: str) -> None:
    """Check that boxes are inside their images and have an area.

    Raises:
        BrokenContractError: One does not.
    """
    owners = np.repeat(np.arange(len(index)), np.diff(index.object_offsets))
    limits = index.sizes[owners][:, ::-1].astype(np.float32)  # width, height; 0 is unknown
    limits = np.where(limits == 0, np.inf, limits)
    wrong = ~np.isfinite(index.boxes).all(axis=1)
    wrong |= (index.boxes[:, 2:] <= index.boxes[:, :2]).any(axis=1)
    wrong |= (index.boxes < 0).any(axis=1) | (index.boxes[:, 2:] > limits).any(axis=1)
    if wrong.any():
        first = int(np.flatnonzero(wrong)[0])
        raise BrokenContractError(
            f"{description}: {int(wrong.sum())} boxes are empty or outside of their image; the "
            f"first is {index.boxes[first].tolist()} in '{index.path(int(owners[first])).name}': "
            "use IndexBuilder, which clips and counts them."
        )


def _first_split(reader: Any, data: Path) -> DatasetIndex:
    index: DatasetIndex = reader.read(data, next(iter(reader.splits(data)), None))
    return index


def images_can_be_decoded(subject: Subject) -> None:
    """The first images exist at the indexed paths and have the indexed sizes."""
    index = _first_split(subject.build(), _data(subject))
    for position in range(min(len(index), _DECODED)):
        path = index.path(position)
        try:
            size = tuple(decode(path).shape[-2:])
        except UnreadableImageError as error:
            raise BrokenContractError(f"image {path} cannot be read: {error.reason}.") from error
        indexed_size = tuple(int(side) for side in index.sizes[position])
        require(
            indexed_size in (size, (0, 0)),
            f"{path.name} has the size {size}, the index has {indexed_size}.",
        )


def reading_is_deterministic(subject: Subject) -> None:
    """The order is the same on each machine and rank."""
    reader, data = subject.build(), _data(subject)
    first, second = _first_split(reader, data), _first_split(reader, data)
    same = (first.file_names, first.class_names) == (second.file_names, second.class_names)
    message = "reading again gave another index: sort everything from the file system or a set."
    require(same, message)
    require_same(second, first, message)


def _index(labels: list[list[int]]) -> DatasetIndex:
    """An index of images with objects of these classes."""
    flat = np.array([label for image in labels for label in image], dtype=np.int64)
    names = [f"{number}.png".encode() for number in range(len(labels))]
    ends = np.cumsum([0, *map(len, names)]).astype(np.int64)
    return DatasetIndex(
        root=Path("images"),
        class_names=list(CLASS_NAMES),
        category_ids=[3, 7, 8],
        file_names=b"".join(names),
        file_offsets=ends,
        image_ids=np.arange(1, len(labels) + 1),
        sizes=np.full((len(labels), 2), 64, dtype=np.int32),
        object_offsets=np.cumsum([0, *map(len, labels)]).astype(np.int64),
        boxes=np.tile(np.array([[4, 4, 20, 30]], dtype=np.float32), (len(flat), 1)),
        labels=flat,
        ignored=np.zeros(len(flat), dtype=np.bool_),
        areas=np.full(len(flat), np.nan, dtype=np.float32),
    )


_INDICES: dict[str, list[list[int]]] = {
    "some classes rarer than others": [[0], [0, 1], [0, 0], [], [2]],
    "no objects": [[], [], []],
    "one image": [[1]],
    "a thousand objects in an image": [[0] * 1000, [1], []],
}


def shares_are_finite_and_not_negative(subject: Subject) -> None:
    """(N,) float64 for N images, finite, and not all 0."""
    sampling = subject.build()
    indices = {name: _index(labels) for name, labels in _INDICES.items()}
    usual = indices["one image"]
    indices["only ignored objects"] = replace(usual, ignored=np.ones(1, dtype=np.bool_))
    for name, index in indices.items():
        with unchanged(index):
            shares = sampling(index)
        fits = isinstance(shares, np.ndarray) and shares.shape == (len(index),)
        fits = fits and shares.dtype == np.float64
        require(
            fits,
            f"with {name} it returned {getattr(shares, 'shape', type(shares).__name__)} "
            f"{getattr(shares, 'dtype', '')}, expected ({len(index)},) float64.",
        )
        require(
            bool(np.isfinite(shares).all()) and bool((shares >= 0).all()),
            f"with {name} shares are {shares.min():.3g} to {shares.max():.3g}, expected 0 or more.",
        )
        require(float(shares.sum()) > 0, f"with {name} an epoch contains no image.")
        require_same(
            sampling(index), shares, "the same index gave other shares: draw no random numbers."
        )
