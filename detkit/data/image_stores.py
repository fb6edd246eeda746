"""Where cached images are: in memory that worker processes share, or in files."""

from __future__ import annotations

import hashlib
import logging
import mmap
import os
import secrets
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from detkit.errors import DataError
from detkit.files import PART, replacing
from detkit.structures import DatasetIndex

LOGGER = logging.getLogger("detkit.data")
Shape = tuple[int, int, int]  # height, width, channels
Part = tuple[slice, slice]  # rows, columns
WHOLE: Part = (slice(None), slice(None))
_SUFFIX = ".pixels.npy"
_DIGEST = 16  # bytes
_ABANDONED = 3600  # seconds after which an unfinished file is left over from a process that died
_DECODERS = ("torch", "torchvision", "pillow", "numpy")  # whose versions may change pixels
_GIGABYTE = 10**9


class ImageStore(Protocol):
    """Pixels by position."""

    def get(self, position: int, part: Part = WHOLE) -> NDArray[Any] | None:
        """The pixels (H, W, C), which the caller may change; None if they are not stored.

        Args:
            position: The image.
            part: The rows and columns to read.
        """

    def put(self, position: int, pixels: NDArray[Any]) -> None:
        """Store pixels, if there is room."""


class MemoryStore:
    """A slot for each image in memory that forked processes share.

    A slot is marked as full after its pixels are written, so that a process that dies while writing
    leaves an empty one. Two processes that write the same slot write the same pixels.

    Args:
        shapes: The shapes of the images that fit.
        dtype: Their number type.
    """

    def __init__(self, shapes: Sequence[Shape], dtype: type[np.generic]) -> None:
        self._shapes, self._dtype = shapes, np.dtype(dtype)
        sizes = [height * width * channels for height, width, channels in shapes]
        self._starts = np.cumsum([0, *sizes]) * self._dtype.itemsize
        # anonymous memory, as /dev/shm, where PyTorch's shared tensors are, is often tiny
        self._memory = mmap.mmap(-1, max(int(self._starts[-1]), 1))
        self._is_full = np.frombuffer(mmap.mmap(-1, max(len(shapes), 1)), np.uint8).view()

    def get(self, position: int, part: Part = WHOLE) -> NDArray[Any] | None:
        """A copy of the pixels."""
        if position >= len(self._shapes) or not self._is_full[position]:
            return None
        return self._slot(position)[part].copy()

    def put(self, position: int, pixels: NDArray[Any]) -> None:
        """Store pixels, if the image has a slot of their shape."""
        if position < len(self._shapes) and pixels.shape == self._shapes[position]:
            self._slot(position)[...] = pixels
            self._is_full[position] = 1

    def _slot(self, position: int) -> NDArray[Any]:
        shape, start = self._shapes[position], int(self._starts[position])
        count = int(np.prod(shape))
        return np.frombuffer(self._memory, self._dtype, count, start).reshape(shape)


class _File(NamedTuple):
    path: Path
    size: int
    used: float  # time of the last use


class CacheFolder:
    """A folder of cached files, and the bytes that they take; any number of processes share it.

    Args:
        path: Where it is; made when needed.
        limit: Bytes that its files may take.
    """

    def __init__(self, path: Path, limit: int) -> None:
        self.path, self._limit = path, limit
        files = sorted(_files(path), key=lambda file: file.used)
        self._oldest = deque(files)
        # shared by all stores of a run and their workers
        self._used = torch.tensor(sum(file.size for file in files))
        self._used.share_memory_()  # type: ignore[no-untyped-call]

    def has_room(self, size: int) -> bool:
        """Whether a file fits, after deleting files unused since this process started."""
        while int(self._used) + size > self._limit and self._oldest:
            file = self._oldest.popleft()
            with suppress(OSError):
                if file.path.stat().st_mtime == file.used:
                    file.path.unlink()
                    self._used -= file.size
        return int(self._used) + size <= self._limit

    def add(self, size: int) -> None:
        """Count a new file."""
        self._used += size

    def close(self) -> None:
        """Take no more files."""
        self._limit = -1


class FileStore:
    """A file for each image, named after the content of the image file and what is done to it.

    Files appear whole or not at all, and any number of processes may share a folder. Where it is
    full, files that no run has used for the longest time make room. Files are read back only with
    the expected shape and type; everything else counts as absent.

    Args:
        folder: Where they are.
        index: The images.
        shapes: The shapes of the images that fit.
        settings: Everything that pixels depend on besides the content of the image file.
        dtype: Their number type.
    """

    def __init__(
        self,
        folder: CacheFolder,
        index: DatasetIndex,
        shapes: Sequence[Shape],
        *,
        settings: str,
        dtype: type[np.generic],
    ) -> None:
        self._folder, self._index, self._shapes = folder, index, shapes
        self._dtype = np.dtype(dtype)
        versions = [f"{package} {version(package)}" for package in _DECODERS]
        self._settings = hashlib.blake2b(" ".join([settings, *versions]).encode()).digest()
        self._touched: set[int] = set()
        # shared by workers: the names of files, once known
        self._names = torch.zeros(len(shapes), _DIGEST, dtype=torch.uint8)
        self._names.share_memory_()  # type: ignore[no-untyped-call]

    def get(self, position: int, part: Part = WHOLE) -> NDArray[Any] | None:
        """The pixels of the file; of a part only its pages are read."""
        if position >= len(self._shapes):
            return None
        try:
            file = self._file(position)
            pixels: NDArray[Any] = np.load(
                file, allow_pickle=False, mmap_mode=None if part == WHOLE else "r"
            )
        except (OSError, ValueError, EOFError):  # absent, or damaged: it is written again
            return None
        if pixels.shape != self._shapes[position] or pixels.dtype != self._dtype:
            return None
        if position not in self._touched:
            self._touched.add(position)
            with suppress(OSError):
                os.utime(file)
        return pixels if part == WHOLE else np.array(pixels[part])

    def put(self, position: int, pixels: NDArray[Any]) -> None:
        """Write a file, if there is room; a disk that refuses it costs one line, nothing else."""
        if position >= len(self._shapes) or pixels.shape != self._shapes[position]:
            return
        if not self._folder.has_room(pixels.nbytes):
            return
        try:
            file = self._file(position)
            file.parent.mkdir(parents=True, exist_ok=True)
            part = file.with_name(f"{file.name}.{os.getpid()}-{secrets.token_hex(4)}{PART}")
            with replacing(file, part), part.open("wb") as stream:
                np.save(stream, np.ascontiguousarray(pixels))
        except OSError as error:
            LOGGER.warning(
                "cannot write to %s (%s): no further images are cached",
                self._folder.path,
                error.strerror,
            )
            self._folder.close()
            return
        self._folder.add(pixels.nbytes)

    def _file(self, position: int) -> Path:
        name = bytes(self._names[position].numpy())
        if not any(name):
            digest = hashlib.blake2b(self._settings, digest_size=_DIGEST)
            digest.update(self._index.path(position).read_bytes())
            name = digest.digest()
            self._names[position] = torch.frombuffer(bytearray(name), dtype=torch.uint8)
        text = name.hex()
        return self._folder.path / text[:2] / f"{text}{_SUFFIX}"


def _files(folder: Path) -> list[_File]:
    """The finished files of a folder; deletes what processes that died left behind."""
    files = []
    for path in folder.glob("??/*"):
        with suppress(OSError):
            state = path.stat()
            if path.name.endswith(_SUFFIX):
                files.append(_File(path, state.st_size, state.st_mtime))
            elif path.name.endswith(PART) and time.time() - state.st_mtime > _ABANDONED:
                path.unlink()
    return files


def require_memory(size: int) -> None:
    """Refuse a cache that is larger than the memory that is available.

    Raises:
        DataError: It is.
    """
    available = _available_memory()
    if available is not None and size > available:
        raise DataError(
            f"data.cache=ram would take {size / _GIGABYTE:.1f} GB, and {available / _GIGABYTE:.1f} "
            "GB of memory are available: lower data.cache_limit, or set data.cache=disk."
        )


def _available_memory() -> int | None:
    """Bytes that programs can still get; None where the system does not tell."""
    with suppress(OSError, ValueError):
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return None
