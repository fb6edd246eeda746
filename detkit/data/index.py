"""Making, cutting and relabelling indices of flat arrays."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from detkit.data.images import UnreadableImageError, read_size
from detkit.errors import DataError, did_you_mean
from detkit.structures import DatasetIndex, Fault

LOGGER = logging.getLogger("detkit.data")
NAMES_IN_A_WARNING = 10


class Annotation(NamedTuple):
    """One object as a file gives it, its box still unchecked: (x1, y1, x2, y2) from 0."""

    label: int
    box: tuple[float, float, float, float]
    ignored: bool = False
    area: float = float("nan")


@dataclass
class IndexBuilder:
    """Collects images and objects into a DatasetIndex, and leaves out what is faulty.

    A file that is missing, that is no image, or whose size is not the annotated one is dropped with
    its objects; so is a box that is not finite, inverted or without area inside the image. All are
    counted and named in `DatasetIndex.dropped`, and logged once as a warning.

    Attributes:
        root: The folder that file names are relative to.
        class_names: The names in label order.
        category_ids: The format's own ids in the same order; 1..C where it has none.
    """

    root: Path
    class_names: list[str]
    category_ids: list[int] | None = None
    _names: list[bytes] = field(default_factory=list)
    _image_ids: list[int] = field(default_factory=list)
    _sizes: list[tuple[int, int]] = field(default_factory=list)
    _counts: list[int] = field(default_factory=list)
    _boxes: list[tuple[float, float, float, float]] = field(default_factory=list)
    _labels: list[int] = field(default_factory=list)
    _ignored: list[bool] = field(default_factory=list)
    _areas: list[float] = field(default_factory=list)
    _dropped: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    _faults: list[Fault] = field(default_factory=list)

    def drop(self, what: str, why: str, name: str) -> None:
        """Note that a `what` ("image", "box", ...) of the file `name` is left out."""
        self._note(Fault(what, why, name))

    def _note(self, fault: Fault) -> None:
        self._faults.append(fault)
        if fault.left_out:
            self._dropped.setdefault((fault.what, fault.why), []).append(fault.name)

    def add_image(self, name: str, image_id: int, size: tuple[int, int] = (0, 0)) -> bool:
        """Start the next image; false when it is faulty and its objects must be left out.

        Args:
            name: The file, relative to the root.
            image_id: The data set's own id.
            size: The annotated (height, width); zeros where the format does not say.
        """
        try:
            found = read_size(self.root / name)
        except UnreadableImageError as error:
            self.drop("image", error.reason, name)
            return False
        if 0 not in size and tuple(size) != found:
            detail = f"annotated {size[1]} x {size[0]}, file {found[1]} x {found[0]}"
            why = "size differs from the annotated one"
            self._note(Fault("image", why, name, detail=detail))
            return False
        self._names.append(name.encode("utf-8"))
        self._image_ids.append(image_id)
        self._sizes.append(found)
        self._counts.append(0)
        return True

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the image added last."""
        return self._sizes[-1]

    def add_object(self, annotation: Annotation) -> None:
        """Give an object to the image added last, its box clipped to the image, or drop it."""
        box, why = _check_box(annotation.box, self.size)
        if why is not None or box != tuple(annotation.box):
            name, label = self._names[-1].decode("utf-8"), annotation.label
            reason = why or "partly outside the image"
            fault = Fault("box", reason, name, annotation.box, label, left_out=why is not None)
            self._note(fault)
        if why is not None:
            return
        self._counts[-1] += 1
        self._boxes.append(box)
        self._labels.append(annotation.label)
        self._ignored.append(annotation.ignored)
        self._areas.append(annotation.area)

    def build(self) -> DatasetIndex:
        """The index; warns about what was left out.

        Raises:
            DataError: No image is usable.
        """
        dropped = [_sentence(what, why, names) for (what, why), names in self._dropped.items()]
        for (what, why), names in self._dropped.items():
            LOGGER.warning("left out of %s: %s", self.root, _sentence(what, why, names, short=True))
        if not self._names:
            reasons = "; ".join(
                _sentence(*key, names, True) for key, names in self._dropped.items()
            )
            raise DataError(
                f"no usable image in '{self.root}' ({reasons or 'it lists none'}): check that "
                "data.path is the folder that the annotations belong to."
            )
        return DatasetIndex(
            root=self.root,
            class_names=list(self.class_names),
            category_ids=list(self.category_ids or range(1, len(self.class_names) + 1)),
            file_names=b"".join(self._names),
            file_offsets=_offsets([len(name) for name in self._names]),
            image_ids=np.array(self._image_ids, dtype=np.int64),
            sizes=np.array(self._sizes, dtype=np.int32).reshape(-1, 2),
            object_offsets=_offsets(self._counts),
            boxes=np.array(self._boxes, dtype=np.float32).reshape(-1, 4),
            labels=np.array(self._labels, dtype=np.int64),
            ignored=np.array(self._ignored, dtype=np.bool_),
            areas=np.array(self._areas, dtype=np.float32),
            dropped=dropped,
            faults=list(self._faults),
        )


def _check_box(
    box: tuple[float, float, float, float], size: tuple[int, int]
) -> tuple[tuple[float, float, float, float], str | None]:
    """The box clipped to an image, and why it cannot be used (None where it can)."""
    if not np.isfinite(box).all():
        return box, "not finite"
    x1, y1, x2, y2 = box
    if x2 <= x1 or y2 <= y1:
        return box, "no area" if x2 == x1 or y2 == y1 else "inverted corners"
    height, width = size
    x1, y1, x2, y2 = max(x1, 0.0), max(y1, 0.0), min(x2, float(width)), min(y2, float(height))
    # float32 is what the index holds, so the check is on what will be read back.
    if np.float32(x2) <= np.float32(x1) or np.float32(y2) <= np.float32(y1):
        return box, "outside the image"
    return (x1, y1, x2, y2), None


def _sentence(what: str, why: str, names: Sequence[str], short: bool = False) -> str:
    distinct = list(dict.fromkeys(names))
    shown = distinct[:NAMES_IN_A_WARNING] if short else distinct
    more = f" and {len(distinct) - len(shown)} more" if len(shown) < len(distinct) else ""
    plural = {"box": "boxes"}.get(what, f"{what}s")
    return f"{len(names)} {what if len(names) == 1 else plural} ({why}): {', '.join(shown)}{more}"


def _offsets(lengths: Sequence[int]) -> NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)


def select(index: DatasetIndex, positions: Sequence[int] | NDArray[np.int64]) -> DatasetIndex:
    """The index of the images at some positions, in the order given."""
    positions = np.asarray(positions, dtype=np.int64)
    names = [index.file_names[index.file_offsets[p] : index.file_offsets[p + 1]] for p in positions]
    spans = [np.arange(*index.object_offsets[p : p + 2]) for p in positions]
    objects = np.concatenate([*spans, np.zeros(0, dtype=np.int64)]).astype(np.int64)
    return replace(
        index,
        file_names=b"".join(names),
        file_offsets=_offsets([len(name) for name in names]),
        image_ids=index.image_ids[positions],
        sizes=index.sizes[positions],
        object_offsets=_offsets([len(span) for span in spans]),
        boxes=index.boxes[objects],
        labels=index.labels[objects],
        ignored=index.ignored[objects],
        areas=index.areas[objects],
    )


def relabel(index: DatasetIndex, class_names: Sequence[str], owner: str) -> DatasetIndex:
    """The same images with labels by name in another list of classes.

    Args:
        index: What to relabel.
        class_names: The classes to use, in label order.
        owner: Whose classes these are, for the message ("the checkpoint").

    Raises:
        DataError: Objects have a class that the list does not hold.
    """
    if list(class_names) == index.class_names:
        return index
    present = [index.class_names[label] for label in np.unique(index.labels)]
    unknown = [name for name in present if name not in class_names]
    if unknown:
        raise DataError(
            f"{owner} does not know the classes {', '.join(map(repr, unknown))} that objects of "
            f"'{index.root}' have; it knows {', '.join(map(repr, class_names))}."
            f"{did_you_mean(unknown[0], class_names)} Rename the classes in the data, or train on "
            "them."
        )
    position = {name: label for label, name in enumerate(class_names)}
    table = np.array([position.get(name, -1) for name in index.class_names], dtype=np.int64)
    ids = dict(zip(index.class_names, index.category_ids, strict=True))
    free = max(index.category_ids, default=0)
    category_ids = []
    for name in class_names:  # a class that the data lacks takes an id that no other has
        free += name not in ids
        category_ids.append(ids.get(name, free))
    labels = table[index.labels] if len(index.labels) else index.labels
    return replace(index, class_names=list(class_names), category_ids=category_ids, labels=labels)
