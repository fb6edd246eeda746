"""Explain why a folder is not a data set: its contents, missing files, and data sets nearby."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path

from detkit.data.readers.annotation_kinds import (
    COCO_LISTS,
    is_label_text,
    missing_coco_lists,
    root_tag,
    start_of,
)
from detkit.data.readers.folder_checks import relative_name
from detkit.data.readers.split_names import SPLIT_WORDS
from detkit.image_files import files_below, is_hidden, is_image
from detkit.text import counted, listed

TitleOf = Callable[[Path], "str | None"]
_SHOWN = 8  # names of files and folders in a message
_EXPLAINED = 3  # files of each kind in a message
_MOST_FILES = 20_000
_MOST_FOLDERS = 50
# Words in the names of folders that hold parts of a data set.
_PARTS = SPLIT_WORDS | {
    *("image", "images", "jpegimages", "imgs", "img", "label", "labels", "obj", "data"),
    *("annotation", "annotations", "annots", "xml", "xmls"),
}
_WORD = re.compile(r"[a-z]+")
_KEY = re.compile(r"^(\w+)\s*:", re.MULTILINE)
# Keys that identify files of other programs.
_FIFTYONE = b'"_media_type"'
_OTHER_JSON = {
    b'"_via_': "VGG Image Annotator",
    b'"file_attributes"': "VGG Image Annotator",
    b'"predictions"': "Label Studio",
    b'"asset"': "VoTT",
    b'"coordinates"': "CreateML",
    b'"data_row"': "Labelbox",
}
LOOKED_FOR = (
    "Looked for COCO (a JSON file with images, annotations and categories), Pascal VOC (XML files "
    "with the root <annotation>), YOLO (label files, and their class names in data.yaml or "
    "classes.txt), CVAT, Labelme and OpenImages. Set data.path to the folder that holds these, or "
    "name the format in data.reader."
)


def explain(path: Path, title_of: TitleOf) -> str:
    """The message about a folder that is in no known format.

    Args:
        path: The folder.
        title_of: Returns the format of a folder, or None.
    """
    entries = sorted(entry.name + "/" * entry.is_dir() for entry in path.iterdir())
    more = ", ..." if len(entries) > _SHOWN else ""
    heading = (
        f"the format of '{path}' is not recognised. It holds: {', '.join(entries[:_SHOWN])}{more}."
    )
    nearby = _below(path, title_of) or _above(path, title_of)
    if nearby:
        return f"{heading} {nearby}"
    files = list(islice(files_below(path), _MOST_FILES))
    clues = [*_of_yaml(path, files), *_of_labels(path, files), *_of_json(path, files)]
    clues += [*_of_other(path, files), *_of_images(files)]
    sentences = [f"{clue[0].upper()}{clue[1:]}." for clue in clues]
    return " ".join([heading, *sentences, LOOKED_FOR])


def _of_yaml(path: Path, files: Sequence[Path]) -> list[str]:
    clues = []
    for file in _with_suffix(files, ".yaml", ".yml")[:_EXPLAINED]:
        keys = set(_KEY.findall(start_of(file).decode("utf-8", "replace")))
        name = _quoted(file, path)
        if not keys & {"names", "train", "val"}:
            continue
        if "names" not in keys:
            clues.append(
                f"{name} has no `names`: add the class names in the order of their numbers"
            )
        else:
            lists = sorted(keys & {"train", "val", "valid", "test"})
            clues.append(f"{name} declares classes{' and ' * bool(lists)}{', '.join(lists)}, but "
                         "there are no label files")  # fmt: skip
    return clues


def _of_labels(path: Path, files: Sequence[Path]) -> list[str]:
    texts = _with_suffix(files, ".txt")
    sample = texts[:: max(1, len(texts) // 50)]
    labels = [file for file in sample if is_label_text(file)]
    if not labels:
        return []
    count = round(len(texts) * len(labels) / len(sample))
    return [
        f"{counted(count, 'text file')} such as {_quoted(labels[0], path)} may be YOLO "
        "labels, but no file names their classes: add data.yaml with `names:`, or classes.txt with "
        "one name per line"
    ]


def _of_json(path: Path, files: Sequence[Path]) -> list[str]:
    clues = []
    programs: Counter[str] = Counter()
    for file in _with_suffix(files, ".json"):
        start = start_of(file)
        program = next((name for mark, name in _OTHER_JSON.items() if mark in start), None)
        missing = missing_coco_lists(file) if program is None else []
        if _FIFTYONE in start:
            clues.append(
                f"{_quoted(file, path)} holds FiftyOne's samples: set data.reader=fiftyone to read "
                "them"
            )
        elif program is not None:
            programs[program] += 1
        elif len(missing) == len(COCO_LISTS):
            clues.append(f"{_quoted(file, path)} is JSON without COCO's lists")
        elif missing:
            clues.append(f"{_quoted(file, path)} looks like COCO, but lacks "
                         f"the list {listed(missing)}")  # fmt: skip
        if sum(programs.values()) + len(clues) >= _SHOWN:
            break
    clues += [f"some JSON files come from {program}: export them as COCO" for program in programs]
    return clues[:_EXPLAINED]


def _of_other(path: Path, files: Sequence[Path]) -> list[str]:
    """Clues from XML files of another kind and from tables."""
    clues = []
    xml = _with_suffix(files, ".xml")[:_EXPLAINED]
    for file in xml:
        tag = root_tag(file)
        hint = ", as CVAT writes it, but lists no images" * (tag == "annotations")
        kind = f"has the root <{tag}>, not <annotation>{hint}" if tag else "is empty or not XML"
        clues.append(f"{_quoted(file, path)} {kind}")
    clues += [
        f"{_quoted(file, path)} is a table, but not in OpenImages format"
        for file in _with_suffix(files, ".csv")[:1]
    ]
    return clues[:_EXPLAINED]


def _of_images(files: Sequence[Path]) -> list[str]:
    images = sum(map(is_image, files))
    suffixes = {file.suffix.lower() for file in files if not is_image(file)}
    if not images:
        return ["it has no images"]
    if not suffixes & {".json", ".xml", ".txt", ".csv"}:
        return [f"it has {counted(images, 'image')} but no annotation files"]
    return []


def _below(path: Path, title_of: TitleOf) -> str | None:
    """Advice to use a data set one or two folders below."""
    folders = [entry for entry in sorted(path.iterdir()) if _is_folder(entry)][:_MOST_FOLDERS]
    inner = [entry for folder in folders for entry in sorted(folder.iterdir()) if _is_folder(entry)]
    for candidates in (folders, inner[:_MOST_FOLDERS]):
        titles = {folder: title for folder in candidates if (title := title_of(folder))}
        if titles:
            named = " or ".join(
                f"'{folder}' ({title})" for folder, title in list(titles.items())[:_EXPLAINED]
            )
            return f"There is a data set in a sub-folder: set data.path to {named}."
    return None


def _above(path: Path, title_of: TitleOf) -> str | None:
    """Advice to use the folder above, if this one is only part of a data set."""
    for folder in list(path.absolute().parents)[:2]:
        inner = path.absolute() if folder == path.absolute().parent else path.absolute().parent
        words = set(_WORD.findall(inner.name.lower()))
        if not words or not words <= _PARTS:
            return None
        title = title_of(folder)
        if title:
            return f"The folder above is a data set: set data.path to '{folder}' ({title})."
    return None


def _quoted(file: Path, root: Path) -> str:
    return f"'{relative_name(file, root)}'"


def _is_folder(entry: Path) -> bool:
    return entry.is_dir() and not is_hidden(entry.name)


def _with_suffix(files: Sequence[Path], *suffixes: str) -> list[Path]:
    return sorted(file for file in files if file.suffix.lower() in suffixes)
