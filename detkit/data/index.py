"""Build an index of flat arrays from images and objects."""

from __future__ import annotations

import math
from array import array
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from detkit.data.fault_messages import no_usable_image, sentences, warn
from detkit.data.index_selection import offsets
from detkit.data.pairing import report_pairing
from detkit.pixels.image_decoding import UnreadableImageError, read_header, turn_box
from detkit.structures import DatasetIndex, Fault, Pairing
from detkit.structures.index_outlines import IndexOutlines

LARGEST_AREA = 3e38  # the range of float32
THIN = 0.01  # pixels; float32 resolves this in images of up to 100,000 pixels a side
ROUNDING = 1e-3  # pixels beyond the edge that are clipped silently: relative boxes with six digits
_FRAMES = "has several frames; the first is used"
_PAGES = "has several pages, which are channels; with data.channels=3, only the first is used"
PARTLY_OUTSIDE = "partly outside the image"


class Annotation(NamedTuple):
    """One object as annotated; its box (x1, y1, x2, y2) starts at 0 and is not validated yet."""

    label: int
    box: tuple[float, float, float, float]
    ignored: bool = False
    area: float = float("nan")
    row: int = -1  # of its outline; none if negative


@dataclass
class IndexBuilder:
    """Collects images and objects into a DatasetIndex, without faulty ones.

    It drops missing files, files that are not images, images whose size differs from the annotated
    one, and boxes that are not finite, inverted or empty. `DatasetIndex.dropped` lists them. Boxes
    that were annotated before an image's EXIF rotation are rotated with it.

    Attributes:
        root: The folder that file names are relative to.
        class_names: The names in label order.
        category_ids: The ids of the format in the same order; 1..C if it has none.
        unused: Counts of annotated values that an index cannot store.
        pairing: Images and annotations without a counterpart, set by the reader.
        outlines: Outlines that objects refer to by row; None if masks are not needed.
    """

    root: Path
    class_names: list[str]
    category_ids: list[int] | None = None
    unused: Counter[str] = field(default_factory=Counter)
    pairing: Pairing = field(default_factory=Pairing)
    outlines: IndexOutlines | None = None
    _names: list[bytes] = field(default_factory=list)
    _image_ids: list[int] = field(default_factory=list)
    _sizes: list[tuple[int, int]] = field(default_factory=list)
    _counts: list[int] = field(default_factory=list)
    # Arrays of plain numbers: lists would take six times the memory of a large data set.
    _boxes: array[float] = field(default_factory=lambda: array("f"))
    _labels: array[int] = field(default_factory=lambda: array("q"))
    _ignored: array[int] = field(default_factory=lambda: array("b"))
    _areas: array[float] = field(default_factory=lambda: array("f"))
    _rows: array[int] = field(default_factory=lambda: array("q"))  # only with outlines
    _faults: list[Fault] = field(default_factory=list)
    _orientation: int = 1  # of the latest image, if its boxes have to be rotated

    def drop(self, kind: str, reason: str, name: str, detail: str = "") -> None:
        """Record that something ("image", "box", ...) of the file `name` is dropped."""
        self._faults.append(Fault(kind, reason, name, detail=detail))

    def note(self, kind: str, reason: str, name: str, detail: str = "") -> None:
        """Record that something of the file `name` is used with a change."""
        self._faults.append(Fault(kind, reason, name, detail=detail, left_out=False))

    def add_image(self, name: str, image_id: int, size: tuple[int, int] = (0, 0)) -> bool:
        """Start the next image; False if it is faulty, so that its objects must be skipped.

        Args:
            name: The file, relative to the root.
            image_id: The id of the data set.
            size: The annotated (height, width); zeros if the format has none.
        """
        try:
            header = read_header(self.root / name)
            encoded = name.encode("utf-8", "surrogateescape")
        except UnreadableImageError as error:
            self.drop("image", error.reason, name)
            return False
        except ValueError:
            self.drop("image", "its name is not valid text", name)
            return False
        self._orientation = 1
        if 0 not in size and tuple(size) != header.size:
            if tuple(size) != header.stored_size:
                annotated, actual = (f"{w} x {h}" for h, w in (size, header.size))
                detail = f"annotated {annotated}, file {actual}"
                self.drop("image", "size differs from the annotated one", name, detail)
                return False
            self._orientation = header.orientation
            self.note("image", "annotated before its EXIF rotation; boxes rotated with it", name)
        if header.animated:
            self.note(
                "image", _PAGES if name.lower().endswith((".tif", ".tiff")) else _FRAMES, name
            )
        self._names.append(encoded)
        self._image_ids.append(image_id)
        self._sizes.append(header.size)
        self._counts.append(0)
        return True

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the latest image."""
        return self._sizes[-1]

    @property
    def name(self) -> str:
        """The file of the latest image."""
        return self._names[-1].decode("utf-8", "surrogateescape")

    def add_object(self, annotation: Annotation, location: str = "") -> None:
        """Add an object to the latest image, with its box clipped to the image, or drop it.

        Args:
            annotation: The object.
            location: Its location in the annotations, such as a file and line, for messages.
        """
        source = annotation.box
        if self.turned:
            source = turn_box(source, self._orientation, self.size)
        box, refusal = check_box(source, self.size)
        if refusal is not None or _is_cut(source, box):
            reason, label = refusal or PARTLY_OUTSIDE, annotation.label
            fault = Fault(
                "box", reason, self.name, source, label, location, left_out=refusal is not None
            )
            self._faults.append(fault)
        if refusal is not None:
            return
        self._counts[-1] += 1
        self._boxes.extend(box)
        self._labels.append(annotation.label)
        self._ignored.append(annotation.ignored)
        area = annotation.area  # NaN is neither above nor below
        self._areas.append(area if 0 < area < LARGEST_AREA else float("nan"))
        if self.outlines is not None:
            # Readers of outlines annotate upright images; a rotated outline would be wrong.
            self._rows.append(-1 if self.turned else annotation.row)
            if self.turned and annotation.row >= 0:
                self.note("mask", "annotated before the EXIF rotation; not used", self.name)

    @property
    def turned(self) -> bool:
        """Whether the boxes of the latest image are rotated."""
        return self._orientation != 1

    def add_checked(
        self,
        boxes: NDArray[np.float32],
        labels: NDArray[np.int64],
        ignored: NDArray[np.int8],
        areas: NDArray[np.float32],
        rows: NDArray[np.int64],
    ) -> None:
        """Add objects to the latest image that are already validated, as `add_object` would.

        Args:
            boxes: (N, 4) inside of the image.
            labels: (N,) classes.
            ignored: (N,) 1 for ignored objects.
            areas: (N,) annotated areas, NaN if missing.
            rows: (N,) rows of their outlines.
        """
        self._counts[-1] += len(labels)
        self._boxes.frombytes(boxes.tobytes())
        self._labels.frombytes(labels.tobytes())
        self._ignored.frombytes(ignored.tobytes())
        self._areas.frombytes(areas.tobytes())
        if self.outlines is not None:
            self._rows.frombytes(rows.astype(np.int64).tobytes())

    def build(self) -> DatasetIndex:
        """Build the index; warns about everything that was dropped or changed.

        Raises:
            DataError: No image is usable.
        """
        dropped = [fault for fault in self._faults if fault.left_out]
        changed = [fault for fault in self._faults if not fault.left_out]
        warn("left out of", self.root, dropped)
        # clipping at the edge of an image is not worth a warning
        warn("changed in", self.root, [f for f in changed if f.why != PARTLY_OUTSIDE])
        report_pairing(self.pairing, self.root)
        if not self._names:
            raise no_usable_image(self.root, dropped, self.pairing)
        return DatasetIndex(
            root=self.root,
            class_names=list(self.class_names),
            category_ids=list(self.category_ids or range(1, len(self.class_names) + 1)),
            file_names=b"".join(self._names),
            file_offsets=offsets([len(name) for name in self._names]),
            image_ids=np.array(self._image_ids, dtype=np.int64),
            sizes=np.array(self._sizes, dtype=np.int32).reshape(-1, 2),
            object_offsets=offsets(self._counts),
            boxes=np.array(self._boxes, dtype=np.float32).reshape(-1, 4),
            labels=np.array(self._labels, dtype=np.int64),
            ignored=np.array(self._ignored, dtype=np.bool_),
            areas=np.array(self._areas, dtype=np.float32),
            dropped=sentences(dropped),
            notes=sentences(changed),
            unused=dict(self.unused),
            faults=list(self._faults),
            pairing=self.pairing,
            outlines=self._outlines(),
        )

    def _outlines(self) -> IndexOutlines | None:
        if self.outlines is None:
            return None
        return self.outlines.select(np.array(self._rows, dtype=np.int64))


def _is_cut(original: tuple[float, ...], box: tuple[float, ...]) -> bool:
    """Whether clipping changed a box by more than rounding."""
    return box != original and any(
        abs(before - after) > ROUNDING for before, after in zip(original, box, strict=True)
    )


def check_box(
    box: tuple[float, float, float, float], size: tuple[int, int]
) -> tuple[tuple[float, float, float, float], str | None]:
    """Clip a box to an image; returns it with the reason why it is unusable, or None."""
    if not all(map(math.isfinite, box)):
        return box, "not finite"
    x1, y1, x2, y2 = box
    if x2 <= x1 or y2 <= y1:
        return box, "no area" if x2 == x1 or y2 == y1 else "inverted corners"
    height, width = size
    x1, y1, x2, y2 = max(x1, 0.0), max(y1, 0.0), min(x2, float(width)), min(y2, float(height))
    if x2 <= x1 or y2 <= y1:
        return box, "outside the image"
    # The index stores float32, so the check is on the rounded values.
    if min(x2 - x1, y2 - y1) > THIN:
        return (x1, y1, x2, y2), None
    if np.float32(x2) <= np.float32(x1) or np.float32(y2) <= np.float32(y1):
        return box, "no area"
    return (x1, y1, x2, y2), None
