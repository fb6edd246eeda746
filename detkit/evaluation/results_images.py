"""Match the rows of a results file to the images of a data set."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Sequence
from itertools import pairwise, takewhile
from pathlib import PurePosixPath
from typing import NamedTuple

from detkit.errors import DataError
from detkit.evaluation.results_file import Row
from detkit.evaluation.results_objects import labels_at
from detkit.structures import DatasetIndex
from detkit.text import agree, counted

FILE_NAME = "file_name"
_TWICE = 2  # a later reading wins with more than this many times the boxes at objects


class Reading(NamedTuple):
    """One way to match rows to images.

    Attributes:
        name: Its name in messages.
        positions: The position of each row's image in the index, or None.
    """

    name: str
    positions: list[int | None]

    @property
    def matches(self) -> int:
        """The number of rows with an image."""
        return sum(position is not None for position in self.positions)


def image_positions(
    rows: Sequence[Row], index: DatasetIndex, source: str, split: str
) -> tuple[list[int], str]:
    """The position of each row's image in an index, and the name of the reading used.

    Raises:
        DataError: Rows have no image in the index.
    """
    names = _names(index)
    reading = _choose(_readings(rows, index, names), rows, index, source)
    _require_images(reading, rows, index, source, split)
    return [position for position in reading.positions if position is not None], reading.name


def _names(index: DatasetIndex) -> list[str]:
    return [
        index.file_names[start:stop].decode("utf-8", "surrogateescape")
        for start, stop in pairwise(index.file_offsets.tolist())
    ]


def _readings(rows: Sequence[Row], index: DatasetIndex, names: list[str]) -> list[Reading]:
    """All readings that the rows allow, the preferred one first."""
    readings = []
    if all(row.file_name is not None for row in rows):
        by_end = _by_end(names)
        table = {name: by_end(name) for name in {str(row.file_name) for row in rows}}
        readings.append(Reading(FILE_NAME, [table[str(row.file_name)] for row in rows]))
    if all(row.image is not None for row in rows):
        ids = {int(number): position for position, number in enumerate(index.image_ids.tolist())}
        by_id = [ids.get(row.image) if isinstance(row.image, int) else None for row in rows]
        readings.append(Reading("image_id", by_id))
        stems = _by_stem(names)
        readings.append(Reading("the stem in image_id", [stems.get(row.image) for row in rows]))
    return readings


def _by_end(names: list[str]) -> Callable[[str], int | None]:
    """Make a function from a path to the image with the same path ending, at least the stem."""
    exact = {name: position for position, name in enumerate(names)}
    by_name, by_stem = defaultdict(list), defaultdict(list)
    for position, name in enumerate(names):
        by_name[PurePosixPath(name).name].append(position)
        by_stem[PurePosixPath(name).stem].append(position)

    def position_of(path: str) -> int | None:
        named = PurePosixPath(path.replace("\\", "/"))
        if str(named) in exact:
            return exact[str(named)]
        candidates = by_name.get(named.name) or by_stem.get(named.stem) or []
        common = [_common_parts(named, PurePosixPath(names[c])) for c in candidates]
        best = [c for c, parts in zip(candidates, common, strict=True) if parts == max(common)]
        return best[0] if len(best) == 1 else None

    return position_of


def _common_parts(first: PurePosixPath, second: PurePosixPath) -> int:
    """Count the equal folder names directly above two files."""
    pairs = zip(first.parts[-2::-1], second.parts[-2::-1], strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def _by_stem(names: list[str]) -> dict[Hashable, int]:
    """Positions by file name, by stem, and by stem as a number (`yolo val` writes 139 for 000139).

    Keys that several images share are left out.
    """
    table: dict[Hashable, int] = {name: position for position, name in enumerate(names)}
    files = Counter(PurePosixPath(name).name for name in names)
    stems = Counter(PurePosixPath(name).stem for name in names)
    numbers = Counter(int(stem) for stem in stems if stem.isascii() and stem.isdecimal())
    for position, name in enumerate(names):
        path = PurePosixPath(name)
        if files[path.name] == 1:
            table[path.name] = position
        if stems[path.stem] == 1:
            table[path.stem] = position
            if path.stem.isascii() and path.stem.isdecimal() and numbers[int(path.stem)] == 1:
                table[int(path.stem)] = position
    return table


def _choose(
    readings: Sequence[Reading], rows: Sequence[Row], index: DatasetIndex, source: str
) -> Reading:
    """The first reading that gives all rows an image, else the one that gives the most.

    Numbers can be both ids of the data set and stems of its files (000139.jpg). Stems then win if
    they put more than twice as many boxes at objects.
    """
    if not readings:
        raise DataError(
            f"{source}: some rows have no image_id and others no file_name: give all rows the same."
        )
    if readings[0].name == FILE_NAME:
        if readings[0].matches or len(readings) == 1:
            return readings[0]
        readings = [
            Reading(f"{reading.name} (no file_name is in the data set)", reading.positions)
            for reading in readings[1:]
        ]
    complete = [reading for reading in readings if reading.matches == len(rows)]
    if not complete:
        return max(readings, key=lambda reading: reading.matches)
    first, *alternatives = complete
    for other in alternatives:
        if other.positions != first.positions:
            hits, other_hits = (_hits(rows, reading, index) for reading in (first, other))
            if other_hits > _TWICE * hits:
                reason = f"{other_hits} boxes are at objects, by image_id only {hits}"
                return Reading(f"{other.name} ({reason})", other.positions)
    return first


def _hits(rows: Sequence[Row], reading: Reading, index: DatasetIndex) -> int:
    """The number of sampled rows that overlap an object of their image."""
    positions = [position for position in reading.positions if position is not None]
    boxes = [row.box for row in rows]
    return sum(label is not None for label in labels_at(boxes, positions, index))


def _require_images(
    reading: Reading, rows: Sequence[Row], index: DatasetIndex, source: str, split: str
) -> None:
    """Refuse detections of unmeasured images; they would be ignored silently."""
    wrong = [r for r, position in zip(rows, reading.positions, strict=True) if position is None]
    if not wrong:
        return
    key = "file_name" if reading.name == FILE_NAME else "image_id"
    values = dict.fromkeys(row.file_name if key == "file_name" else row.image for row in wrong)
    all_images = {row.file_name if key == "file_name" else row.image for row in rows}
    verb = agree(len(values), "is", "are")
    raise DataError(
        f"{source}: {len(values):,} of its {counted(len(all_images), 'image')} {verb} not among "
        f"the {counted(len(index), 'image')} that detkit measures (split: {split}), such as {key} "
        f"{next(iter(values))!r}, which is neither the id nor the file name or stem of one of "
        f"them; the first of them is {_names(index)[0]!r} with id {index.image_ids[0]}. Choose the "
        "split with split=NAME (split=all for a data set without splits), or correct the "
        f"{key} of each row."
    )
