"""NumPy files (.npy) as images: (H, W) or (H, W, C)."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

Size = tuple[int, int]  # height, width
_MAGIC = b"\x93NUMPY"
_PLANE, _IMAGE = 2, 3  # dimensions
_KINDS = "biuf"  # booleans, integers and floating-point numbers
_READ_HEADER = {1: np.lib.format.read_array_header_1_0, 2: np.lib.format.read_array_header_2_0}


def is_numpy(source: Path | bytes) -> bool:
    """Whether a file is called .npy, or its content begins like one."""
    if isinstance(source, bytes):
        return source.startswith(_MAGIC)
    return source.suffix.lower() == ".npy"


def numpy_shape(path: Path) -> tuple[int, int, int]:
    """(height, width, channels) from the header of a file; reads no values.

    Raises:
        ValueError: It is no image.
        OSError: It cannot be read.
    """
    with path.open("rb") as stream:
        return _shape(stream)


def read_numpy(source: Path | bytes) -> NDArray[Any]:
    """The values (H, W, C) of a file or of its content. Nothing in it is unpickled.

    Raises:
        ValueError: It is no image.
        OSError: It cannot be read.
    """
    stream: BinaryIO = BytesIO(source) if isinstance(source, bytes) else source.open("rb")
    with stream:
        shape = _shape(stream)
        stream.seek(0)
        values: NDArray[Any] = np.load(stream, allow_pickle=False).reshape(shape)
    return values


def read_numpy_window(path: Path, rows: slice, columns: slice, size: Size) -> NDArray[Any]:
    """A part of the values of a file; nothing else is read.

    Args:
        path: The file.
        rows: Rows of the part.
        columns: Columns of the part.
        size: The (height, width) that the file should have.

    Raises:
        ValueError: It is no image, or has another size.
        OSError: It cannot be read.
    """
    shape = numpy_shape(path)
    if shape[:2] != size:
        raise ValueError("size has changed since the index was read")
    values = np.load(path, mmap_mode="r", allow_pickle=False).reshape(shape)
    return np.array(values[rows, columns])


def _shape(stream: BinaryIO) -> tuple[int, int, int]:
    version = np.lib.format.read_magic(stream)
    if version[0] not in _READ_HEADER:
        raise ValueError(f"an array of format {version[0]}.{version[1]}")
    shape, _, kind = _READ_HEADER[version[0]](stream)
    if len(shape) not in (_PLANE, _IMAGE) or 0 in shape or kind.kind not in _KINDS:
        raise ValueError(f"an array of {kind} {shape}; expected numbers (H, W) or (H, W, C)")
    height, width, channels = (*shape, 1)[:_IMAGE]
    return height, width, channels
