"""What readers and samplings promise: an index of flat arrays, and shares of its images."""

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
from detkit.data.image_decoding import UnreadableImageError, decode
from detkit.errors import UserError
from detkit.structures import DatasetIndex

_LOOKED_AT = 5  # images that are decoded
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
            "needs a data set of its format: data.path=FOLDER (in a test, "
            f"cases('reader', '{subject.name}', data=FOLDER))"
        )
    return subject.data


def wrong_folders_are_refused_in_words(subject: Subject) -> None:
    """A folder that is not there, or is empty: a DataError or other UserError that names it."""
    reader = subject.build()
    with tempfile.TemporaryDirectory() as base:
        empty = Path(base) / "empty_folder"
        empty.mkdir()
        for folder in (empty, Path(base) / "absent_folder"):
            try:
                reader.splits(folder)
                index = reader.read(folder, None)
            except UserError as error:
                named = folder.name in str(error)
                require(named, f"the error for '{folder.name}' does not name the folder: {error}")
            else:
                made = isinstance(index, DatasetIndex) and len(index) > 0
                require(
                    made,  # a reader that makes its data set needs none to be there
                    f"'{folder.name}' holds no data set and was read all the same: raise DataError "
                    "with what was looked for.",
                )


def each_split_is_read(subject: Subject) -> None:
    """`splits` names what `read` takes; an unknown one is refused.

    None reads all images; where there are splits it may be refused in words.
    """
    reader, data = subject.build(), _data(subject)
    splits = reader.splits(data)
    fits = isinstance(splits, list) and all(isinstance(name, str) for name in splits)
    require(fits, f"`splits` gave {splits!r}, expected a list of names.")
    names = None
    for split in splits or [None]:
        index = reader.read(data, split)
        _require_index(index, f"split '{split}'" if split else "all images")
        names = names or index.class_names
        require(
            index.class_names == names,
            f"split '{split}' has the classes {index.class_names}, and the one before {names}: "
            "splits share their classes and the order of them.",
        )
    everything = None
    with contextlib.suppress(UserError):
        everything = reader.read(data, None)
    if everything is not None:
        _require_index(everything, "all images")
    try:
        reader.read(data, "no_such_split")
    except UserError:
        return
    if splits:
        raise BrokenContractError(
            f"a split 'no_such_split' was read, and there are {splits}: raise DataError that lists "
            "them."
        )


def _require_index(index: Any, what: str) -> None:
    if not isinstance(index, DatasetIndex):
        raise BrokenContractError(f"{what}: it gave {type(index).__name__}, not a DatasetIndex.")
    images, count = len(index.image_ids), len(index.labels)
    require(images > 0, f"{what}: no image, raise DataError instead.")
    for name, dtype in _TYPES.items():
        array = getattr(index, name)
        fits = isinstance(array, np.ndarray) and array.dtype == dtype
        kind = getattr(array, "dtype", type(array).__name__)
        require(fits, f"{what}: {name} is {kind}, expected an array of {dtype.__name__}.")
    _require_offsets(index.file_offsets, images, len(index.file_names), f"{what}: file_offsets")
    _require_offsets(index.object_offsets, images, count, f"{what}: object_offsets")
    shapes = (index.sizes.shape, index.boxes.shape, index.ignored.shape, index.areas.shape)
    wanted = ((images, 2), (count, 4), (count,), (count,))
    require(
        shapes == wanted,
        f"{what}: sizes, boxes, ignored and areas are {shapes}, expected {wanted} for {images} "
        f"images and {count} objects.",
    )
    distinct = len(set(index.image_ids.tolist())) == images
    require(distinct, f"{what}: two images have one id, so one would be measured for both.")
    classes = len(index.class_names)
    same = len(index.category_ids) == classes == len(set(index.class_names))
    require(same, f"{what}: class names must differ, with a category id for each.")
    if count:
        lowest, highest = int(index.labels.min()), int(index.labels.max())
        inside = lowest >= 0 and highest < classes
        require(inside, f"{what}: labels {lowest} to {highest}, expected 0 to {classes - 1}.")
        require_boxes(index, what)


def _require_offsets(offsets: NDArray[np.int64], images: int, end: int, what: str) -> None:
    fits = offsets.shape == (images + 1,) and offsets[0] == 0 and offsets[-1] == end
    fits = fits and bool((np.diff(offsets) >= 0).all())
    require(
        fits, f"{what} must rise from 0 to {end} in {images + 1} numbers, one more than images."
    )


def require_boxes(index: DatasetIndex, what: str) -> None:
    """See that boxes have an area inside their images.

    Raises:
        BrokenContractError: One has not.
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
            f"{what}: {int(wrong.sum())} boxes have no area inside their image, the first is "
            f"{index.boxes[first].tolist()} in '{index.path(int(owners[first])).name}': use "
            "IndexBuilder, which clips and counts them."
        )


def _first_split(reader: Any, data: Path) -> DatasetIndex:
    index: DatasetIndex = reader.read(data, next(iter(reader.splits(data)), None))
    return index


def images_can_be_decoded(subject: Subject) -> None:
    """The first lie where the index says, and have the size that it says."""
    index = _first_split(subject.build(), _data(subject))
    for position in range(min(len(index), _LOOKED_AT)):
        path = index.path(position)
        try:
            size = tuple(decode(path).shape[-2:])
        except UnreadableImageError as error:
            raise BrokenContractError(f"image {path} cannot be read: {error.reason}.") from error
        said = tuple(int(side) for side in index.sizes[position])
        require(said in (size, (0, 0)), f"{path.name} is {size}, the index says {said}.")


def the_same_is_read_twice(subject: Subject) -> None:
    """In the same order, on each machine and rank."""
    reader, data = subject.build(), _data(subject)
    first, second = _first_split(reader, data), _first_split(reader, data)
    same = (first.file_names, first.class_names) == (second.file_names, second.class_names)
    said = "reading again gave another index: sort what comes from the file system or a set."
    require(same, said)
    require_same(second, first, said)


def _index(labels: list[list[int]]) -> DatasetIndex:
    """An index of images that show these classes."""
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
    "no object at all": [[], [], []],
    "one image": [[1]],
    "a thousand objects in an image": [[0] * 1000, [1], []],
}


def shares_are_counts_from_0_on(subject: Subject) -> None:
    """(N,) float64 for N images, finite, with something left to train on."""
    sampling = subject.build()
    indices = {name: _index(labels) for name, labels in _INDICES.items()}
    usual = indices["one image"]
    indices["nothing but ignored objects"] = replace(usual, ignored=np.ones(1, dtype=np.bool_))
    for name, index in indices.items():
        with unchanged(index):
            shares = sampling(index)
        fits = isinstance(shares, np.ndarray) and shares.shape == (len(index),)
        fits = fits and shares.dtype == np.float64
        require(
            fits,
            f"with {name} it gave {getattr(shares, 'shape', type(shares).__name__)} "
            f"{getattr(shares, 'dtype', '')}, expected ({len(index)},) float64.",
        )
        require(
            bool(np.isfinite(shares).all()) and bool((shares >= 0).all()),
            f"with {name} shares are {shares.min():.3g} to {shares.max():.3g}, expected 0 or more.",
        )
        require(float(shares.sum()) > 0, f"with {name} no image comes in an epoch.")
        require_same(sampling(index), shares, "the same index gave other shares: no randomness.")
