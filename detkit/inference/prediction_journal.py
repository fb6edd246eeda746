"""The journal of an unfinished prediction, from which a later process continues it.

A line of JSON for the settings, then one for each image. A line is written before the files of its
image, and lists them with their sizes. So after a kill or a power failure at any moment, no file is
unknown, and incomplete ones are recognised. Memory stays flat, as nothing is kept but counts.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from detkit.errors import UserError
from detkit.files import Lock, lock
from detkit.inference.earlier_prediction import JOURNAL
from detkit.structures.predictions import ImageRecord

_DISCARDED = {"discarded": True}


class JournalEntry(NamedTuple):
    """An image of a prediction.

    Attributes:
        record: Its detections; None if the image could not be read.
        files: The size in bytes of each file that the writers make of it.
    """

    record: ImageRecord | None
    files: dict[str, int]

    def to_json(self) -> dict[str, Any]:
        """Plain values, from which `_entry` makes an equal entry."""
        record = None if self.record is None else self.record.to_json()
        return {"record": record, "files": self.files}


class Journal:
    """The journal in an output folder; one process at a time may hold it.

    Args:
        folder: The output folder.

    Attributes:
        path: The file, empty before `start`.

    Raises:
        UserError: Another process is predicting into the folder.
    """

    def __init__(self, folder: Path) -> None:
        self.path = folder / JOURNAL
        self._file = open(self.path, "a+b", buffering=0)  # noqa: SIM115  # held until `close`
        if lock(self._file) is Lock.IN_USE:
            self._file.close()
            raise UserError(
                f"output={folder}: another process is writing a prediction into this folder; "
                "choose another folder, or wait for it."
            )

    def settings(self) -> dict[str, Any] | None:
        """The settings of the prediction; None if there is none, or it was given up."""
        settings: dict[str, Any] | None = None
        for _, values in self._lines():
            if values == _DISCARDED:
                return None
            settings = values if settings is None else settings
        return settings

    def entries(self) -> Iterator[JournalEntry]:
        """The entries so far, read from the file."""
        lines = self._lines()
        next(lines, None)
        return (_entry(values) for _, values in lines if values != _DISCARDED)

    def start(self, settings: dict[str, Any]) -> None:
        """Begin a new prediction; earlier entries are lost."""
        self._file.truncate(0)
        self._append(settings)

    def append(self, entry: JournalEntry) -> None:
        """Add an image, before its files are written."""
        self._append(entry.to_json())

    def discard(self) -> None:
        """Give the prediction up; its entries stay until `start`, so that no file is forgotten."""
        self._remove_torn_line()
        self._append(_DISCARDED)

    def keep_first(self, count: int) -> Iterator[JournalEntry]:
        """Remove all entries but the first ones.

        Yields:
            The entries to remove, which are removed after the last one.
        """
        lines = self._lines()
        end, _ = next(lines)
        for index, (line_end, values) in enumerate(lines):
            if index < count:
                end = line_end
            else:
                yield _entry(values)
        self._file.truncate(end)

    def remove(self) -> None:
        """Delete the file, when the prediction is finished."""
        self.path.unlink(missing_ok=True)
        self._file.close()

    def close(self) -> None:
        """Release the folder; an empty journal is deleted."""
        is_ours = not self._file.closed and self.path.is_file()
        if is_ours and next(self.entries(), None) is None:
            self.path.unlink()
        self._file.close()

    def _append(self, values: dict[str, Any]) -> None:
        start = self._file.seek(0, os.SEEK_END)
        text = json.dumps(values, ensure_ascii=False).encode() + b"\n"
        try:
            while text:  # a disk that fills takes a part without an error
                text = text[self._file.write(text) :]
        except BaseException:
            self._file.truncate(start)
            raise

    def _lines(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """The complete lines as (end in bytes, values); a kill may have torn the last one."""
        end = 0
        with open(self.path, "rb") as file:
            for line in file:
                end += len(line)
                try:
                    values = json.loads(line) if line.endswith(b"\n") else None
                except ValueError:
                    return
                if not isinstance(values, dict):
                    return
                yield end, values

    def _remove_torn_line(self) -> None:
        self._file.truncate(max((end for end, _ in self._lines()), default=0))


def _entry(values: dict[str, Any]) -> JournalEntry:
    record = values["record"]
    return JournalEntry(None if record is None else ImageRecord.of_json(record), values["files"])
