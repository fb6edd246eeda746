"""The proposal file: the regions of each image that may hold an object, by the image's content.

The file is an SQLite database, since it is written image by image, survives a kill, and several
loader processes read it. An image is found by a hash of its file, wherever the file lies.
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from urllib.parse import quote

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from detkit.errors import DataError
from detkit.structures import DatasetIndex

_APPLICATION, _FORMAT = 0x64744B50, 1  # in the header of the file: "dtKP", and its version
_TABLES = """
create table settings (key text primary key, value text not null);
create table proposals (image blob primary key, name text not null, boxes blob not null);
"""


def content_key(path: Path) -> bytes:
    """A hash of the bytes of an image file.

    Raises:
        DataError: The file cannot be read.
    """
    try:
        return hashlib.blake2b(path.read_bytes(), digest_size=16).digest()
    except OSError as error:
        raise DataError(f"cannot read the image '{path}': {error.strerror}.") from error


def names_of(index: DatasetIndex) -> list[str]:
    """The image files of an index, relative to its root."""
    ends = index.file_offsets.tolist()
    return [
        index.file_names[start:stop].decode("utf-8", "surrogateescape")
        for start, stop in pairwise(ends)
    ]


class ProposalFile:
    """The proposals of a data set, for any number of processes to read.

    Args:
        path: The file.

    Raises:
        DataError: It does not exist, or is not a proposal file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._connections: dict[int, sqlite3.Connection] = {}
        if not path.is_file():
            raise DataError(
                f"there is no proposal file '{path}': write it with `detkit data propose DATA "
                f"output={path}`."
            )
        try:
            header = [
                _pragma(self._connection(), key) for key in ("application_id", "user_version")
            ]
        except sqlite3.Error as error:
            raise DataError(f"'{path}' is not a proposal file: {error}.") from error
        if header != [_APPLICATION, _FORMAT]:
            raise DataError(
                f"'{path}' is not a proposal file of this version: write another one with "
                "`detkit data propose DATA output=FILE`."
            )

    def __getstate__(self) -> dict[str, object]:
        return {"path": self.path, "_connections": {}}

    def _connection(self) -> sqlite3.Connection:
        """The connection of this process, as none may cross a fork."""
        process = os.getpid()
        if process not in self._connections:
            address = f"file:{quote(str(self.path.resolve()))}?mode=ro"
            self._connections[process] = sqlite3.connect(address, uri=True, check_same_thread=False)
        return self._connections[process]

    def __len__(self) -> int:
        return int(self._connection().execute("select count(*) from proposals").fetchone()[0])

    def boxes(self, path: Path) -> Tensor:
        """(R, 4) float32 regions of an image file, in its own pixels, best first.

        Raises:
            DataError: The file lacks this image.
        """
        query = "select boxes from proposals where image = ?"
        row = self._connection().execute(query, (content_key(path),)).fetchone()
        if row is None:
            raise DataError(self._missing(str(path), 1))
        return torch.from_numpy(np.frombuffer(row[0], "<f4").astype(np.float32).reshape(-1, 4))

    def require(self, index: DatasetIndex) -> None:
        """Refuse images without proposals; only files with unknown names are read.

        Args:
            index: The images.

        Raises:
            DataError: Some have none.
        """
        rows = self._connection().execute("select name, image from proposals").fetchall()
        names, keys = {name for name, _ in rows}, {key for _, key in rows}
        missing = []
        for name in names_of(index):
            if name not in names and content_key(index.root / name) not in keys:
                missing.append(name)
        if missing:
            raise DataError(self._missing(missing[0], len(missing)))

    def _missing(self, name: str, count: int) -> str:
        further = f" and {count - 1:,} more" if count > 1 else ""
        return (
            f"'{self.path}' has no proposals for '{name}'{further}: add them with `detkit data "
            f"propose DATA output={self.path}`, with the method and settings of the others."
        )


class ProposalWriter:
    """Writes a proposal file image by image; finished images survive a kill.

    Args:
        path: The file, which may exist.
        settings: How the proposals are made, in words.

    Raises:
        DataError: The file holds something else, or proposals made differently, or cannot be
            written.
    """

    def __init__(self, path: Path, settings: Mapping[str, str]) -> None:
        if path.exists():
            ProposalFile(path)
        self.path = path
        with self._explained():
            self._open(settings)
        before = dict(self._connection.execute("select key, value from settings").fetchall())
        if before != dict(settings):
            self.close()
            raise DataError(
                f"output={path} holds proposals made with {_as_words(before)}, and these would "
                f"be made with {_as_words(settings)}: choose another output=FILE, or the same "
                "settings."
            )

    def _open(self, settings: Mapping[str, str]) -> None:
        """Open the file; a new one gets its tables and settings."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._connection = sqlite3.connect(self.path)
        if not _pragma(self._connection, "application_id"):
            with self._connection:
                self._connection.executescript(f"begin; {_TABLES}")
                rows = list(settings.items())
                self._connection.executemany("insert into settings values (?, ?)", rows)
                self._connection.execute(f"pragma application_id = {_APPLICATION}")
                self._connection.execute(f"pragma user_version = {_FORMAT}")

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn errors of the disk and of SQLite into a DataError."""
        try:
            yield
        except (OSError, sqlite3.Error) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            raise DataError(
                f"output={self.path} cannot be written ({reason}): check the folder and the free "
                "space, then repeat the command, which continues; or choose another output=FILE."
            ) from error

    def known(self) -> set[bytes]:
        """The keys of the images that are written."""
        return {key for (key,) in self._connection.execute("select image from proposals")}

    def write(self, key: bytes, name: str, boxes: NDArray[np.float32]) -> None:
        """Write the (R, 4) regions of an image in its own pixels, best first.

        Raises:
            DataError: The file cannot be written.
        """
        data = np.ascontiguousarray(boxes, "<f4").tobytes()
        row = (key, name, data)
        with self._explained(), self._connection:
            self._connection.execute("insert or replace into proposals values (?, ?, ?)", row)

    def close(self) -> None:
        """Close the file."""
        self._connection.close()


def _pragma(connection: sqlite3.Connection, key: str) -> int:
    return int(connection.execute(f"pragma {key}").fetchone()[0])


def _as_words(settings: Mapping[str, str]) -> str:
    return " ".join(f"{key}={value}" for key, value in settings.items())
