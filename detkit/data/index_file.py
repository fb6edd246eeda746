"""An index as one file: flat arrays behind a JSON header, under a checksum.

`numpy.savez` would need an archive for the arrays and another format for the texts, and checks no
text. The file is read at once instead of being mapped: a mapped file that another computer replaces
on a network disk ends the process with SIGBUS, in the middle of training.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from detkit.structures import DatasetIndex, Fault, Pairing
from detkit.structures.index_outlines import IndexOutlines

_DIGEST, _LENGTH, _ALIGNED = 32, 8, 64  # bytes
_TEXTS = ("class_names", "category_ids", "dropped", "notes", "unused")
_ARRAYS = (
    *("file_offsets", "image_ids", "sizes", "object_offsets"),
    *("boxes", "labels", "ignored", "areas"),
)
_NAMES = "file_names"
_OUTLINES = tuple(f.name for f in fields(IndexOutlines))
_PREFIX = "outlines."


@dataclass(frozen=True)
class StoredIndex:
    """An index with what belongs to it in a file.

    Attributes:
        index: The index.
        state: The state of the data set that it was read from.
        messages: Level and text of each message that reading it logged.
        level: The lowest level of messages that would have been logged.
    """

    index: DatasetIndex
    state: str
    messages: list[tuple[int, str]]
    level: int


class DamagedIndexError(Exception):
    """A file that is not an index, or not a whole one."""


def save(stored: StoredIndex, file: Path) -> None:
    """Write an index; an interrupted write leaves a file that `load` refuses."""
    index = stored.index
    arrays = {name: getattr(index, name) for name in _ARRAYS}
    if index.outlines is not None:
        arrays |= {_PREFIX + name: getattr(index.outlines, name) for name in _OUTLINES}
    arrays[_NAMES] = np.frombuffer(index.file_names, np.uint8)
    header = {
        "state": stored.state,
        "messages": stored.messages,
        "level": stored.level,
        "root": str(index.root),
        "faults": index.faults,
        "pairing": {f.name: getattr(index.pairing, f.name) for f in fields(Pairing)},
        "arrays": {name: (array.dtype.str, array.shape) for name, array in arrays.items()},
        **{name: getattr(index, name) for name in _TEXTS},
    }
    text = json.dumps(header, default=_plain).encode("ascii")
    parts = [len(text).to_bytes(_LENGTH, "little"), text, _padding(_DIGEST + _LENGTH + len(text))]
    for array in arrays.values():
        parts += [np.ascontiguousarray(array).tobytes(), _padding(array.nbytes)]
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    with file.open("wb") as stream:
        stream.writelines([digest.digest(), *parts])


def load(file: Path) -> StoredIndex:
    """Read an index.

    Raises:
        DamagedIndexError: The file is not a whole index.
        OSError: It cannot be read.
    """
    content = np.fromfile(file, np.uint8)
    if hashlib.sha256(content[_DIGEST:].data).digest() != content[:_DIGEST].tobytes():
        raise DamagedIndexError("its checksum differs")
    try:
        return _parsed(content)
    except (KeyError, TypeError, ValueError) as error:
        raise DamagedIndexError(f"{type(error).__name__}: {error}") from error


def _parsed(content: NDArray[np.uint8]) -> StoredIndex:
    start = _DIGEST + _LENGTH
    end = start + int.from_bytes(content[_DIGEST:start].tobytes(), "little")
    header = json.loads(content[start:end].tobytes())
    offset = end + len(_padding(end))
    arrays: dict[str, Any] = {}
    for name, (dtype, shape) in header["arrays"].items():
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        arrays[name] = content[offset : offset + size].view(dtype).reshape(shape)
        offset += size + len(_padding(size))
    outlines = {name: arrays.pop(_PREFIX + name, None) for name in _OUTLINES}
    index = DatasetIndex(
        root=Path(header["root"]),
        file_names=arrays.pop(_NAMES).tobytes(),
        faults=[_fault(*fault) for fault in header["faults"]],
        pairing=Pairing(**header["pairing"]),
        **{name: header[name] for name in _TEXTS},
        outlines=None if outlines["points"] is None else IndexOutlines(**outlines),
        **arrays,
    )
    messages = [(int(level), str(text)) for level, text in header["messages"]]
    return StoredIndex(index, header["state"], messages, int(header["level"]))


def _fault(what: str, why: str, name: str, box: list[float] | None, *more: Any) -> Fault:
    return Fault(what, why, name, None if box is None else tuple(box), *more)  # type: ignore[arg-type]


def _padding(size: int) -> bytes:
    """The bytes that align what follows."""
    return bytes(-size % _ALIGNED)


def _plain(value: Any) -> Any:
    """A NumPy number as Python's."""
    if isinstance(value, np.generic):
        return value.item()
    raise TypeError(f"{type(value).__name__} cannot be stored")
