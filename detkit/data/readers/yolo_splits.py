"""The splits of a YOLO data set: entries of its page, lists of images, or folders."""

from __future__ import annotations

import logging
import os
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from detkit.data.pairing import BY_ENDING
from detkit.data.readers.folder_checks import (
    files_with_suffix,
    image_files,
    lines_of,
    relative_name,
    subfolders,
)
from detkit.data.readers.image_lists import ImageTable, ListedImages, listed_images
from detkit.data.readers.split_names import split_of
from detkit.data.readers.yolo_data_file import YoloPage
from detkit.data.splits import role_of
from detkit.errors import DataError, did_you_mean
from detkit.image_files import is_image
from detkit.structures import Fault
from detkit.text import counted

LOGGER = logging.getLogger("detkit.data")
_LIST_SUFFIXES = (".txt", ".list", ".lst", "")
_CERTAIN_PARTS = 2  # names at the end of a path that identify it


class Source(NamedTuple):
    """The location of a split's images.

    Attributes:
        location: A folder, or a list of images.
        is_ending: Whether only the end of the entry matches, as its path is from another machine.
    """

    location: Path
    is_ending: bool


def split_names(path: Path, page: YoloPage) -> list[str]:
    """The splits that the page, lists or folders declare, sorted."""
    return sorted(_entries(path, page))


def split_images(path: Path, page: YoloPage, split: str) -> ListedImages:
    """The images of a split, and notes about paths matched by their endings.

    Raises:
        DataError: An entry leads nowhere, or to no image.
    """
    names = _entries(path, page)[split]
    if page.entries and split not in page.entries and page.file is not None:
        LOGGER.info("'%s' declares no %s; reading it from %s", page.file, split, ", ".join(names))
    if not names:
        raise _unusable(path, page, split, problem="is empty")
    images: list[Path] = []
    notes: list[Fault] = []
    for name in names:
        source = _find(path, page, split, name)
        if source is None:
            problem = "names neither a folder nor a list of images"
            hint = _suggestion(path, page, split, name)
            raise _unusable(path, page, split, name, problem=problem, hint=hint)
        listed = _images_at(path, page, source.location)
        if listed.images and not any(image.is_file() for image in listed.images):
            problem = f"lists {counted(len(listed.images), 'image')}, and none of them exists"
            hint = " Copy the images there; some tools export label files only."
            raise _unusable(path, page, split, name, problem=problem, hint=hint)
        if not listed.images:
            problem = f"leads to no images: '{source.location}'"
            raise _unusable(path, page, split, name, problem=problem)
        images += listed.images
        notes += listed.notes
        if source.is_ending:
            detail = f"{split}: {name} -> {relative_name(source.location, path)}"
            file = page.file.name if page.file else ""
            notes.append(Fault("entry", BY_ENDING, file, detail=detail, left_out=False))
    return ListedImages(sorted(set(images)), notes)


def _entries(path: Path, page: YoloPage) -> dict[str, list[str]]:
    """The folders and lists of each split.

    Without entries in the page, lists such as train.txt count, else folders. A folder also adds a
    split that the entries omit, unless an entry may already include its images.
    """
    declared = page.declared
    entries = {
        split: names
        for split, names in page.entries.items()
        if split in declared or (names and all(_find(path, page, split, name) for name in names))
    }
    if not entries:
        texts = [file for file in files_with_suffix(path, ".txt") if role_of(file.stem)]
        table = ImageTable(path) if texts else None
        lists = [file for file in texts if table is not None and _lists_images(file, table)]
        entries = {file.stem: [file.name] for file in lists}
    roles = {role_of(split) for split in entries}
    sources = [_find(path, page, split, name) for split in entries for name in entries[split]]
    locations = [source.location for source in sources if source is not None]
    for split, folders in _split_folders(path).items():
        is_free = not any(
            location.is_file() or folder.is_relative_to(location)
            for folder in folders
            for location in locations
        )
        if role_of(split) not in roles and is_free:
            entries[split] = [relative_name(folder, path) for folder in folders]
    return entries


def _split_folders(path: Path) -> dict[str, list[Path]]:
    """Folders with the name of a split, in images/ or directly in the data folder.

    A folder without images counts only where images are expected: images/val, or val/images.
    """
    folders: dict[str, list[Path]] = {}
    for parent in [*subfolders(path, "images"), path]:
        by_split: dict[str, list[Path]] = defaultdict(list)
        for folder in subfolders(parent):
            split = split_of(folder.name)
            inner = subfolders(folder, "images")
            if split is not None and (parent != path or inner or image_files(folder)):
                by_split[split] += inner or [folder]
        for split, matches in by_split.items():
            if not any(map(image_files, folders.get(split, []))):
                folders[split] = matches
    return folders


def _lists_images(file: Path, table: ImageTable) -> bool:
    """Whether the first line names an image, with or without its suffix."""
    first = next(iter(lines_of(file)), "")
    return is_image(Path(first.replace("\\", "/"))) or table.endings.match(first).path is not None


def _bases(path: Path, page: YoloPage) -> list[Path]:
    return [path / page.base, path] if page.base else [path]


def _find(path: Path, page: YoloPage, split: str, name: str) -> Source | None:
    """The folder or list that an entry names, or one that matches the end of its path."""
    text = name.replace("\\", "/")
    bare = text
    while bare.startswith("../"):  # some exports write ../train/images for a folder beside the page
        bare = bare.removeprefix("../")
    for base in _bases(path, page):
        for location in (base / text, base / bare):
            if _is_source(location):
                return Source(location, is_ending=False)
    parts = [part for part in (_bases(path, page)[0] / text).parts if part not in ("/", "..")]
    for start in range(len(parts)):
        match = _in_any_case(path, parts[start:])
        if match is None or not _is_source(match):
            continue
        stated = _roles(Path(text).parts)  # Darknet's own example is `valid = data/test.txt`
        if stated == _roles(parts[start:]) != set() or _is_certain(path, split, parts, start):
            return Source(match, is_ending=True)
    return None


def _in_any_case(path: Path, parts: Sequence[str]) -> Path | None:
    """The only entry below a folder with these names, ignoring case."""
    for part in parts:
        if (path / part).exists():
            path = path / part
            continue
        names = os.listdir(path) if path.is_dir() else []
        alike = [name for name in names if name.casefold() == part.casefold()]
        if len(alike) != 1:
            return None
        path = path / alike[0]
    return path


def _is_certain(path: Path, split: str, parts: Sequence[str], start: int) -> bool:
    """Whether the end of a path identifies it: a split, two names, or all below the data folder."""
    ending = parts[start:]
    if roles := _roles(ending):
        return role_of(split) in (None, *roles)
    return len(ending) >= _CERTAIN_PARTS or parts[start - 1] == path.resolve().name


def _roles(parts: Sequence[str]) -> set[str]:
    """The splits that the parts of a path state."""
    return {role for part in parts if (role := role_of(Path(part).stem))}


def _is_source(location: Path) -> bool:
    return location.is_dir() or (location.is_file() and location.suffix.lower() in _LIST_SUFFIXES)


def _images_at(path: Path, page: YoloPage, location: Path) -> ListedImages:
    if location.is_dir():
        return ListedImages(image_files(location), [])
    bases = dict.fromkeys([*_bases(path, page), path, location.parent])
    return listed_images(location, list(bases), ImageTable(path))


def _suggestion(path: Path, page: YoloPage, split: str, name: str) -> str:
    """The folder or list most like a broken entry, unless it belongs to another split."""
    for base in _bases(path, page):
        location = base / name.replace("\\", "/")
        parent = next((p for p in location.parents if p.is_dir()), None)
        if parent is not None and parent.is_relative_to(path):
            entries = [entry for entry in parent.iterdir() if _is_source(entry)]
            names = [
                relative_name(entry, path)
                for entry in entries
                if role_of(entry.stem) in (None, role_of(split))
            ]
            if hint := did_you_mean(relative_name(location, path), names):
                return hint
    return ""


def _unusable(
    path: Path, page: YoloPage, split: str, name: str = "", *, problem: str, hint: str = ""
) -> DataError:
    if page.file is None or split not in page.entries:
        return DataError(
            f"the split '{split}' of '{path}' {problem}: put its images there, or remove it."
        )
    separator = " =" if page.file.suffix == ".data" else ":"
    entry = f"{split}{separator} {name}".strip()
    remedy = "Correct the entry"
    if role_of(split) == "val":
        remedy += ", or set data.validation_split=null to hold back a part of the training images"
    return DataError(f"'{page.file}': the entry `{entry}` {problem}.{hint} {remedy}.")
