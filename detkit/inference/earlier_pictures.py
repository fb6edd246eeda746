"""Remove pictures of an earlier prediction from the output folder."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from detkit.inference.sources import output_names

LIST = "pictures.json"  # in the output folder; lists the pictures of a prediction
RESULTS = "detections.json"


def clear_earlier(output: Path, names: Sequence[str]) -> int:
    """Remove the files of an earlier prediction, and list the pictures of this one.

    Only pictures that an earlier prediction lists, or whose images are in its detections, are
    removed; other files stay.

    Args:
        output: The output folder.
        names: Names of the new pictures.

    Returns:
        How many pictures were removed that this prediction does not write again.
    """
    earlier = _earlier(output)
    removed = 0
    for name in sorted(earlier):
        picture = output / name
        if picture.is_file():
            picture.unlink()
            removed += name not in names
    (output / RESULTS).unlink(missing_ok=True)
    text = json.dumps(sorted(names), indent=1, ensure_ascii=False) + "\n"
    (output / LIST).write_text(text, encoding="utf-8")
    return removed


def _earlier(output: Path) -> set[str]:
    """The names of earlier pictures; older versions of detkit wrote only the detections."""
    listed = _read(output / LIST)
    if listed is not None:
        return _plain_names(listed)
    rows = _read(output / RESULTS) or []
    files = [row.get("file_name") for row in rows if isinstance(row, dict)]
    paths = dict.fromkeys(Path(file) for file in files if isinstance(file, str))
    return _plain_names(output_names(list(paths)))


def _plain_names(names: Iterable[Any]) -> set[str]:
    """Only plain names of PNG files, so that no list can name a file in another folder."""
    texts = [name for name in names if isinstance(name, str)]
    return {name for name in texts if Path(name).name == name and name.endswith(".png")}


def _read(file: Path) -> list[Any] | None:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, list) else None
