"""Remove the files of an earlier prediction from the output folder."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any

from detkit.inference.sources import output_names

SUMMARY = "prediction.json"  # in the output folder; lists the files of a finished prediction
JOURNAL = "prediction.jsonl"  # the same for an unfinished one
IMAGE_FILES, FINAL_FILES = "image_files", "final_files"  # its lists
_OLDER_LIST, _OLDER_RESULTS = "pictures.json", "detections.json"


def clear_earlier(output: Path, names: Collection[str], unfinished: Iterable[str] = ()) -> int:
    """Remove the files of an earlier prediction.

    Only files that an earlier prediction lists are removed, or pictures whose images are in the
    detections of an older detkit; other files stay.

    Args:
        output: The output folder.
        names: Names of the images that are predicted now, which are not counted.
        unfinished: More files, of a prediction that was given up.

    Returns:
        How many files about images were removed that this prediction does not write again.
    """
    summary = _read(output / SUMMARY)
    if not isinstance(summary, dict):
        summary = {}
    older = set(_older_pictures(output))
    files = {*unfinished, *_list(summary, IMAGE_FILES), *older}
    removed = {file for file in files if remove_inside(output, file)}
    is_older = bool(removed & older) or (output / _OLDER_LIST).is_file()
    lists = [_OLDER_RESULTS, _OLDER_LIST] if is_older else []
    for file in (*_list(summary, FINAL_FILES), *lists, SUMMARY):
        remove_inside(output, file)
    known_names = set(names)
    return sum(PurePosixPath(file).stem not in known_names for file in removed)


def holds_prediction(folder: Path) -> bool:
    """Whether `detkit predict` has written to a folder, to the end or not."""
    return any((folder / name).is_file() for name in (SUMMARY, JOURNAL))


def remove_inside(output: Path, name: str) -> bool:
    """Remove a file and its empty folders, unless a damaged list names one outside the output."""
    path = output / name
    inside = path.parent.resolve().is_relative_to(output.resolve())
    if not inside or ".." in PurePosixPath(name).parts or not path.is_file():
        return False
    path.unlink()
    with suppress(OSError):  # a folder that is not empty
        for parent in path.parents:
            if parent == output:
                break
            parent.rmdir()
    return True


def _list(summary: dict[str, Any], key: str) -> list[str]:
    files = summary.get(key)
    return [file for file in files if isinstance(file, str)] if isinstance(files, list) else []


def _older_pictures(output: Path) -> Iterator[str]:
    """Pictures of older versions of detkit, which wrote a list or only the detections.

    Only plain names of PNG files count, so that no list names a file in another folder.
    """
    listed = _read(output / _OLDER_LIST)
    if not isinstance(listed, list):
        rows = [] if (output / SUMMARY).is_file() else _read(output / _OLDER_RESULTS)
        rows = rows if isinstance(rows, list) else []
        files = [row.get("file_name") for row in rows if isinstance(row, dict)]
        paths = dict.fromkeys(Path(file) for file in files if isinstance(file, str))
        listed = output_names(list(paths))
    texts = (name for name in listed if isinstance(name, str))
    return (name for name in texts if Path(name).name == name and name.endswith(".png"))


def _read(file: Path) -> Any:
    try:
        return json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
