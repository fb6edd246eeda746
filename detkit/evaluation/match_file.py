"""Matches in a compressed file, so that runs can be compared without running their detectors."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from detkit.evaluation.coco_matches import CocoMatches
from detkit.files import replacing

MOST_ROWS = 4_000_000  # detections of a file, which then has about 20 MB; COCO's validation: 0.5 M
_FORMAT = 1


def write_matches(file: Path, matches: CocoMatches) -> bool:
    """Write matches; false, and no file, if there are too many.

    Args:
        file: The file, replaced in one step.
        matches: The matches.
    """
    if len(matches.images) > MOST_ROWS:
        file.unlink(missing_ok=True)
        return False
    arrays: dict[str, Any] = {name: np.asarray(value) for name, value in vars(matches).items()}
    with replacing(file) as part, part.open("wb") as stream:
        np.savez_compressed(stream, format=np.array(_FORMAT), **arrays)
    return True


def read_matches(file: Path) -> CocoMatches | None:
    """The matches in a file; None if it is missing, damaged or of another format."""
    try:
        with np.load(file, allow_pickle=False) as content:
            arrays: dict[str, Any] = dict(content)
        if int(arrays.pop("format")) != _FORMAT:
            return None
        arrays["class_names"] = arrays["class_names"].tolist()
        return CocoMatches(**arrays)
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile):
        return None
