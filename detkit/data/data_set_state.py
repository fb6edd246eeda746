"""The state of a data set on disk: what an index of it depends on, as one digest.

Annotation files count by content. Image files count by name, size, inode, and the times of their
last change: reading all of COCO's headers takes seconds, and no program can set a file's ctime. A
change is missed only if the system's clock is turned back to the very nanosecond, or on a file
system that keeps no ctime (FAT) if size and mtime also stay equal. Even then, decoding an image
whose size has changed is an error.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from detkit.image_files import SUFFIXES, is_hidden

# Seconds. A file that changes twice within one tick of the file system's clock shows one time, so
# nothing is concluded from files that have only just changed.
_SETTLING = 2.0
_NANOSECONDS = 1e9
Stamp = tuple[int, int, int, int]  # inode, size, mtime and ctime in nanoseconds


class DataSetState(NamedTuple):
    """The files of a data set.

    Attributes:
        digest: Differs if any annotation or image differs.
        folders: Names of the folders, relative to the root, whose images are in the digest.
        stamps: Inodes, sizes and times of the annotation files.
        is_settled: Whether the last change is long enough ago for times to tell changes apart.
    """

    digest: str
    folders: frozenset[str]
    stamps: list[Stamp]
    is_settled: bool

    def covers(self, name: str) -> bool:
        """Whether the digest changes if an image file changes or appears."""
        path = PurePosixPath(name)
        hidden = any(part == ".." or is_hidden(part) for part in path.parts)
        return not path.is_absolute() and not hidden and _may_be_image(path.name)

    def contains(self, name: str) -> bool:
        """Whether the digest depends on an image file that exists."""
        folder, _, file = name.rpartition("/")
        return folder in self.folders and _may_be_image(file)


def state_of(root: Path, annotations: Sequence[Path]) -> DataSetState:
    """Read the state of the files below a folder, and of annotation files anywhere.

    Raises:
        OSError: An annotation file cannot be read.
    """
    digest = hashlib.sha256()
    stamps = stamps_of(annotations)
    for file in annotations:
        with file.open("rb") as stream:
            digest.update(f"{file}\0{hashlib.file_digest(stream, 'sha256').hexdigest()}\n".encode())
    newest = max((stamp[-1] for stamp in stamps), default=0)
    names = set()
    for folder, lines, changed in _folders_below(root):
        names.add(folder)
        digest.update(f"{folder}\0{''.join(lines)}".encode("utf-8", "surrogateescape"))
        newest = max(newest, changed)
    settled = newest < (time.time() - _SETTLING) * _NANOSECONDS
    return DataSetState(digest.hexdigest(), frozenset(names), stamps, settled)


def stamps_of(files: Sequence[Path]) -> list[Stamp]:
    """The inode, size and times of files."""
    return [_stamp(os.stat(file)) for file in files]


def _stamp(entry: os.stat_result) -> Stamp:
    return entry.st_ino, entry.st_size, entry.st_mtime_ns, entry.st_ctime_ns


def _may_be_image(name: str) -> bool:
    return name.lower().endswith(SUFFIXES) or "." not in name


def _folders_below(root: Path) -> Iterator[tuple[str, list[str], int]]:
    """Each folder, a line for each of its images, and the time of the last change of these.

    It visits the folders that `image_files.files_below` visits.
    """
    visited: set[tuple[int, int]] = set()
    for parent, folders, files in os.walk(root, followlinks=True):
        entry = os.stat(parent)
        if (entry.st_dev, entry.st_ino) in visited:
            folders.clear()
            continue
        visited.add((entry.st_dev, entry.st_ino))
        folders[:] = sorted(name for name in folders if not is_hidden(name))
        lines, newest = [], 0
        for name in sorted(filter(_may_be_image, files)):
            try:
                inode, size, modified, changed = _stamp(os.stat(f"{parent}/{name}"))
            except OSError:  # a link to nothing
                inode, size, modified, changed = 0, 0, 0, 0
            lines.append(f"{name}\0{inode} {size} {modified} {changed}\n")
            newest = max(newest, changed)
        folder = Path(parent).relative_to(root).as_posix()
        yield "" if folder == "." else folder, lines, newest
