"""The output folder of a prediction: written image by image, so that another process can go on."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import chain, islice
from pathlib import Path
from typing import Any, NamedTuple

from detkit.errors import UserError
from detkit.files import replacing
from detkit.inference.earlier_prediction import (
    FINAL_FILES,
    IMAGE_FILES,
    SUMMARY,
    clear_earlier,
    remove_inside,
)
from detkit.inference.prediction_journal import Journal, JournalEntry
from detkit.inference.setting_differences import setting_differences
from detkit.structures.predictions import ImageRecord, PredictedImage, Writer
from detkit.text import counted

_RECENT = 1000  # images whose files a kill or a power failure may have lost


class Classes(NamedTuple):
    """The classes of a detector, in label order."""

    names: Sequence[str]
    category_ids: Sequence[int]


class PredictionOutput:
    """Writes predictions to a folder; see `Journal` for how it survives a kill.

    Args:
        folder: An existing folder.
        writers: The writers by name.
        classes: The detector's classes.

    Attributes:
        folder: The folder.
        images: Images so far, with those of the parts before an interruption.
        unreadable: How many of them could not be read.
        detections: Detections so far.
        is_finished: Whether the folder holds the finished prediction already.

    Raises:
        UserError: Another process is predicting into the folder.
    """

    def __init__(self, folder: Path, writers: Mapping[str, Writer], classes: Classes) -> None:
        self.folder, self._writers = folder, writers
        self.class_names, self.category_ids = classes
        self._journal = Journal(folder)
        self.images = self.unreadable = self.detections = 0
        self.is_finished = False

    def __iter__(self) -> Iterator[ImageRecord]:
        """The records of all readable images so far, as `Predictions` describes them."""
        return (entry.record for entry in self._journal.entries() if entry.record is not None)

    def resume(self, settings: dict[str, Any], resume: bool | None, batch_size: int) -> int:
        """Look for an unfinished prediction with the same settings.

        Args:
            settings: What the detections and files depend on, as plain values.
            resume: False discards an unfinished prediction; True also accepts a finished one.
            batch_size: Batches begin with the same images as without an interruption.

        Returns:
            How many images are done; `start` has to follow if it is 0.

        Raises:
            UserError: The settings of an unfinished prediction differ.
        """
        settings = json.loads(json.dumps(settings))
        if resume is True and self._read_summary(settings):
            return self.images
        earlier = None if resume is False else self._journal.settings()
        done = 0 if earlier is None else self._intact()
        if earlier is None or done == 0:
            return 0
        if differences := setting_differences(earlier, settings):
            raise UserError(
                f"output={self.folder}: holds an unfinished prediction "
                f"({counted(done, 'image')}) with other settings: {'; '.join(differences)}. Use "
                "its settings to continue it; resume=false discards it; output=FOLDER writes "
                "elsewhere."
            )
        self._keep_first(done // batch_size * batch_size)
        return self.images

    def start(self, settings: dict[str, Any], names: Iterable[str]) -> int:
        """Start a new prediction; the files of an earlier one are removed.

        Args:
            settings: As for `resume`.
            names: The names of its images, as far as they are known.

        Returns:
            How many files were removed that this prediction does not write again.
        """
        with self._disk_errors():
            self._journal.discard()
            files = [file for entry in self._journal.entries() for file in entry.files]
            removed = clear_earlier(self.folder, set(names), files)
            self._journal.start(settings)
        return removed

    def add(self, image: PredictedImage) -> None:
        """Write the files of an image.

        Raises:
            UserError: The disk is full, or two writers write the same file.
        """
        files: dict[str, bytes] = {}
        for name, writer in self._writers.items():
            for file, content in writer.image_files(image):
                if file in files:
                    raise UserError(
                        f"format={name} writes {file}, as a format before it does: choose one."
                    )
                files[file] = content
        with self._disk_errors():
            sizes = {file: len(content) for file, content in files.items()}
            self._journal.append(JournalEntry(image.record, sizes))
            for file, content in files.items():
                path = self.folder / file
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
        self._count(image.record)

    def add_unreadable(self) -> None:
        """Count an image that cannot be read; it is not tried again."""
        with self._disk_errors():
            self._journal.append(JournalEntry(None, {}))
        self._count(None)

    def finish(self) -> None:
        """Write the files about all images, each in one step.

        Raises:
            UserError: The disk is full.
        """
        final_files = []
        with self._disk_errors():
            for writer in self._writers.values():
                for file, pieces in writer.final_files(self):
                    _write(self.folder / file, pieces)
                    final_files.append(file)
            _write(self.folder / SUMMARY, self._summary(final_files))
            self._journal.remove()

    def close(self) -> None:
        """Leave the folder as it is, to be continued."""
        self._journal.close()

    def _intact(self) -> int:
        """How many images are done: all up to a recent one without all of its files.

        Older files that are missing were moved away by somebody, and are not written again.
        """
        total = sum(1 for _ in self._journal.entries())
        recent = islice(enumerate(self._journal.entries()), max(total - _RECENT, 0), None)
        return next((index for index, entry in recent if not self._has_files(entry)), total)

    def _has_files(self, entry: JournalEntry) -> bool:
        try:
            sizes = {file: (self.folder / file).stat().st_size for file in entry.files}
        except OSError:
            return False
        return sizes == entry.files

    def _keep_first(self, count: int) -> None:
        """Continue after the first images; the files of all others are removed."""
        for entry in self._journal.keep_first(count):
            for file in entry.files:
                remove_inside(self.folder, file)
        for entry in self._journal.entries():
            self._count(entry.record)

    def _count(self, record: ImageRecord | None) -> None:
        self.images += 1
        self.unreadable += record is None
        self.detections += 0 if record is None else len(record)

    def _summary(self, final_files: Sequence[str]) -> Iterator[str]:
        """The text of the list of files, piece by piece."""
        counts = {
            "images": self.images,
            "unreadable": self.unreadable,
            "detections": self.detections,
            "settings": self._journal.settings(),
            FINAL_FILES: final_files,
        }
        files = chain.from_iterable(entry.files for entry in self._journal.entries())
        yield json.dumps(counts, indent=1, ensure_ascii=False).removesuffix("\n}")
        yield f',\n "{IMAGE_FILES}": ['
        for number, file in enumerate(files):
            yield f"{',' if number else ''}\n  {json.dumps(file, ensure_ascii=False)}"
        yield "\n ]\n}\n"

    def _read_summary(self, settings: dict[str, Any]) -> bool:
        """Read the counts of a finished prediction, if there is one with these settings."""
        try:
            summary = json.loads((self.folder / SUMMARY).read_text(encoding="utf-8"))
            is_same = summary["settings"] == settings and self._journal.settings() is None
            counts = [int(summary[key]) for key in ("images", "unreadable", "detections")]
        except (OSError, ValueError, KeyError, TypeError):
            return False
        if is_same:
            self.is_finished = True
            self.images, self.unreadable, self.detections = counts
            self._journal.remove()
        return is_same

    @contextmanager
    def _disk_errors(self) -> Iterator[None]:
        """Turn errors of the disk into one message.

        Raises:
            UserError: The disk is full, or refuses to be written.
        """
        try:
            yield
        except OSError as error:
            raise UserError(
                f"{error.filename or self.folder}: cannot be written "
                f"({error.strerror or error}). {counted(self.images, 'image')} done, and nothing "
                "of them is lost: make room, and give the same command again to continue."
            ) from error


def _write(path: Path, pieces: Iterable[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as part, part.open("w", encoding="utf-8", newline="") as file:
        file.writelines(pieces)
