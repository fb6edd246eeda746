"""Keep the indices of large data sets, so that opening one again takes a tenth of the time."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import secrets
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple, Protocol, runtime_checkable

from detkit.data.data_set_state import DataSetState, stamps_of, state_of
from detkit.data.index_file import DamagedIndexError, StoredIndex, load, save
from detkit.files import PART, display_path, replacing
from detkit.interfaces import Reader
from detkit.structures import DatasetIndex

LOGGER = logging.getLogger("detkit.data")
AUTOMATIC = "auto"
_FEWEST = 10_000  # images and objects from which on an index is kept; fewer take a second
_LEVELS = (logging.INFO, logging.WARNING, logging.ERROR, logging.CRITICAL)
_SUFFIX = ".index"
_ABANDONED = 3600  # seconds after which an unfinished file is left over from a process that died
_CODE = Path(__file__).parent  # the readers, and what they use
_PACKAGES = ("numpy", "pillow", "pillow-heif")  # which images can be read depends on them


class Sources(NamedTuple):
    """What the index of a folder depends on, besides its image files.

    Attributes:
        settings: The settings of the reader, as text.
        annotations: The annotation files of all splits.
    """

    settings: str
    annotations: Sequence[Path]


@runtime_checkable
class SourcedReader(Protocol):
    """A reader whose indices can be kept, since it knows what they depend on."""

    def sources(self, path: Path) -> Sources | None:
        """The sources of the indices of a folder; None if they cannot be kept."""


class IndexCache:
    """Indices of data sets in a folder; safe if several processes use it at once.

    An index is used again only if the annotation files have the same content, the images below the
    data set's folder are unchanged, and detkit's readers and Pillow are the same. An index that is
    damaged, outdated or cannot be written costs one line and a slow start, nothing else.

    Args:
        folder: Where they are; made when needed.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def read(self, reader: Reader, path: Path, split: str | None) -> DatasetIndex:
        """The index of a split, kept or read anew; logs what reading it logs.

        Raises:
            DataError: The reader cannot read it.
        """
        sources = reader.sources(path) if isinstance(reader, SourcedReader) else None
        if sources is None:
            return reader.read(path, split)
        try:
            # before reading, so that a change in the meantime is a change to the kept index
            state = state_of(path, sources.annotations)
        except OSError:  # the reader says what is wrong
            return reader.read(path, split)
        file = self.folder / _file_name(path, (_class_of(reader), sources.settings), split)
        digest = f"{_version()} {_code_of(reader)} {state.digest}"
        stored = self._load(file, digest)
        if stored is not None and stored.level <= _level():
            LOGGER.info(
                "%s is unchanged: using its index in %s (data.index_cache)", path, self.folder
            )
            for level, text in stored.messages:
                LOGGER.log(level, "%s", text)
            return stored.index
        with _recorded() as messages:
            index = reader.read(path, split)
        if len(index) + len(index.labels) >= _FEWEST and _is_reliable(index, state, sources):
            self._save(StoredIndex(index, digest, messages, _level()), file)
        return index

    def _load(self, file: Path, state: str) -> StoredIndex | None:
        """The index in a file; None if there is none in this state."""
        try:
            stored = load(file)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, DamagedIndexError) as error:
            LOGGER.info("not using the index in %s: %s", display_path(file), error)
            return None
        return stored if stored.state == state else None

    def _save(self, stored: StoredIndex, file: Path) -> None:
        """Write an index under a name of this process, and rename it."""
        part = file.with_name(f"{file.name}.{os.getpid()}-{secrets.token_hex(4)}{PART}")
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            _delete_abandoned(self.folder)
            with replacing(file, part):
                save(stored, part)
        except OSError as error:
            LOGGER.info(
                "the index of %s cannot be kept in %s (%s); reading it will take as long next "
                "time. Set data.index_cache to another folder, or to null.",
                stored.index.root,
                self.folder,
                error.strerror or error,
            )


def cache_at(setting: str | None) -> IndexCache | None:
    """The cache for `data.index_cache`: a folder, `auto`, or None for no cache."""
    if setting is None:
        return None
    if setting != AUTOMATIC:
        return IndexCache(Path(setting).expanduser())
    base = _user_cache()
    return IndexCache(base / "detkit" / "indices") if base.is_absolute() else None


def image_folder(setting: str) -> Path:
    """The folder for `data.cache_folder`: a folder or `auto`."""
    if setting != AUTOMATIC:
        return Path(setting).expanduser()
    return _user_cache() / "detkit" / "images"


def _user_cache() -> Path:
    """The user's cache folder; relative where the home directory is unknown."""
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if not base.is_absolute():  # the standard's rule for an unusable value
        base = Path("~/.cache").expanduser()
    return base


def _file_name(path: Path, reader: tuple[str, str], split: str | None) -> str:
    """One name for each data set, reader with settings, and split."""
    key = json.dumps([str(path), str(path.resolve()), reader, split])
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()[:32] + _SUFFIX


def _is_reliable(index: DatasetIndex, state: DataSetState, sources: Sources) -> bool:
    """Whether the state tells every later change of what an index was read from."""
    missing = [fault.name for fault in index.faults if fault.what == "image"]
    return (
        state.is_settled
        and all(map(state.contains, _names(index)))
        and all(map(state.covers, missing))
        and stamps_of(sources.annotations) == state.stamps
    )


def _names(index: DatasetIndex) -> Iterator[str]:
    """The names of all images."""
    for start, stop in pairwise(index.file_offsets.tolist()):
        yield index.file_names[start:stop].decode("utf-8", "surrogateescape")


def _class_of(reader: Reader) -> str:
    return f"{type(reader).__module__}.{type(reader).__qualname__}"


def _code_of(reader: Reader) -> str:
    """A digest of the module that defines a reader, which may be a plugin's."""
    module = sys.modules.get(type(reader).__module__)
    file = getattr(module, "__file__", None)
    return hashlib.sha256(Path(file).read_bytes()).hexdigest() if file else ""


@cache
def _version() -> str:
    """A digest of detkit's code that makes an index, and of the packages that it uses."""
    digest = hashlib.sha256()
    for file in sorted(_CODE.rglob("*.py")):
        digest.update(file.read_bytes())
    for package in _PACKAGES:
        with suppress(PackageNotFoundError):
            digest.update(f"{package} {version(package)}\n".encode())
    return digest.hexdigest()


def _level() -> int:
    """The lowest level of messages that are logged; above all of them if none is."""
    return next(filter(LOGGER.isEnabledFor, _LEVELS), logging.CRITICAL + 1)


@contextmanager
def _recorded() -> Iterator[list[tuple[int, str]]]:
    """Record what readers log, to log it again when the kept index is used."""
    messages: list[tuple[int, str]] = []

    class Recorder(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            messages.append((record.levelno, record.getMessage()))

    recorder = Recorder()
    LOGGER.addHandler(recorder)
    try:
        yield messages
    finally:
        LOGGER.removeHandler(recorder)


def _delete_abandoned(folder: Path) -> None:
    """Delete what processes that died left of their files."""
    for part in folder.glob(f"*{_SUFFIX}.*{PART}"):
        with suppress(OSError):
            if time.time() - part.stat().st_mtime > _ABANDONED:
                part.unlink()
