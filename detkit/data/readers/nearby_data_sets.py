"""Look for a data set near the folder that a user named."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice
from pathlib import Path

from detkit.data.readers.folder_checks import relative_name
from detkit.data.readers.path_endings import PathEndings
from detkit.image_files import files_below, is_image

_MOST_FILES = 20_000  # to list in a folder that the user did not name
_SAMPLE = 20


def parent_with_images(path: Path, names: Sequence[str]) -> Path | None:
    """The folder above if it holds images with most of the names, whatever their suffix."""
    parent = path.resolve().parent
    try:
        nearby = islice(files_below(parent), _MOST_FILES)
        endings = PathEndings(relative_name(file, parent) for file in nearby if is_image(file))
    except OSError:
        return None
    sample = names[:: max(1, len(names) // _SAMPLE)]
    matches = sum(endings.match(name).path is not None for name in sample)
    if matches <= len(sample) / 2:
        return None
    return parent if path.name in ("", "..") else path.parent
