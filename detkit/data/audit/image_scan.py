"""Decode each image file of a data set once, in a few threads, and collect its properties."""

from __future__ import annotations

import hashlib
import os
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from detkit.data.image_decoding import preview
from detkit.pixels.image_decoding import UnreadableImageError, open_image
from detkit.pixels.numpy_files import is_numpy

THUMBNAIL = 32  # height and width
_HASH_ROWS, _HASH_COLUMNS = 8, 9  # neighbours in a row are compared: 8 x 8 bits
_SAMPLED = 256  # rows and columns that the thumbnail is made from; more pixels do not improve it
_LUMA = torch.tensor([0.299, 0.587, 0.114])  # as files store grey, so that a grey copy is alike
_MOST_THREADS = 8
_AHEAD = 4  # files in the queue of each thread, so that a long list takes no memory


@dataclass(frozen=True)
class FileFacts:
    """Properties of an image file.

    Attributes:
        problem: Why it cannot be decoded; None if it can.
        size: (height, width) as decoded.
        kind: Format of the file ("JPEG"); empty if it is not an image.
        mode: How its pixels are stored ("RGB", "L", "P", "CMYK", "I;16").
        orientation: EXIF orientation; 1 if there is none.
        digest: Hash of the bytes of the file.
        bits: (64,) bool, whether brightness rises from one cell to the next one at its right, on a
            grid of 8 x 9 cells (the difference hash).
        thumbnail: (32, 32) uint8 brightness.
    """

    problem: str | None = None
    size: tuple[int, int] = (0, 0)
    kind: str = ""
    mode: str = ""
    orientation: int = 1
    digest: bytes = b""
    bits: NDArray[np.bool_] = field(default_factory=lambda: np.zeros(0, np.bool_))
    thumbnail: NDArray[np.uint8] = field(default_factory=lambda: np.zeros((0, 0), np.uint8))


def look_at(path: Path) -> FileFacts:
    """Decode a file as training does, and note what it is."""
    try:
        pixels = preview(path)
    except UnreadableImageError as error:
        return FileFacts(problem=error.reason)
    digest = hashlib.blake2b(path.read_bytes(), digest_size=16).digest()
    grey = _brightness(pixels)
    cells = adaptive_avg_pool2d(grey, (_HASH_ROWS, _HASH_COLUMNS))[0]
    small = adaptive_avg_pool2d(grey, THUMBNAIL)[0].round().to(torch.uint8)
    kind, mode, orientation = _storage(path)
    return FileFacts(
        size=(int(pixels.shape[-2]), int(pixels.shape[-1])),
        kind=kind,
        mode=mode,
        orientation=orientation,
        digest=digest,
        bits=(cells[:, 1:] > cells[:, :-1]).flatten().numpy(),
        thumbnail=small.numpy(),
    )


def _storage(path: Path) -> tuple[str, str, int]:
    """Format, mode and EXIF orientation of a file."""
    if is_numpy(path):
        return "NPY", "", 1
    with open_image(path) as (image, orientation):
        return image.format or "", image.mode, orientation


def _brightness(pixels: Tensor) -> Tensor:
    """(3, H, W) uint8 to (1, h, w) float32, every n-th row and column of a large image."""
    down, across = (max(1, length // _SAMPLED) for length in pixels.shape[-2:])
    sampled = pixels[:, ::down, ::across].float()
    return torch.einsum("chw,c->hw", sampled, _LUMA)[None]


def scan(paths: Iterable[Path], threads: int | None = None) -> Iterator[tuple[Path, FileFacts]]:
    """Each file with its facts, in order; decoding leaves Python's lock, so threads run at once.

    Args:
        paths: The files.
        threads: How many at once; by default one for each core, 8 at most.
    """
    threads = threads or min(_MOST_THREADS, os.cpu_count() or 1)
    pending = iter(paths)
    waiting: deque[tuple[Path, Future[FileFacts]]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        for path in islice(pending, threads * _AHEAD):
            waiting.append((path, pool.submit(look_at, path)))
        while waiting:
            path, future = waiting.popleft()
            facts = future.result()
            for following in islice(pending, 1):
                waiting.append((following, pool.submit(look_at, following)))
            yield path, facts
