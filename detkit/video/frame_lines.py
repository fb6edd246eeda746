"""A line of JSON for each frame, on the disk as soon as it is written."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

from detkit.errors import UserError

_DIGITS = 6  # of seconds: microseconds


class FrameLines:
    """Writes `{"frame": 12, "time": 0.48, "detections": [...]}` per frame.

    Args:
        path: The file, which is replaced.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._frames = path, 0
        self._file: IO[str] | None = None  # until the first frame

    def add(
        self, number: int, time: float, names: Sequence[str], rows: Sequence[dict[str, Any]]
    ) -> None:
        """Write one frame.

        Args:
            number: The frame's position in the video, from 0.
            time: Seconds since the first frame.
            names: The N class names.
            rows: The N detections as rows of COCO results; their image_id is left out.

        Raises:
            UserError: The file cannot be written.
        """
        detections = [
            {"name": name, **{key: value for key, value in row.items() if key != "image_id"}}
            for name, row in zip(names, rows, strict=True)
        ]
        values = {"frame": number, "time": round(time, _DIGITS), "detections": detections}
        try:
            if self._file is None:
                self._file = self._path.open("w", encoding="utf-8", buffering=1)  # flushes lines
            self._file.write(json.dumps(values, ensure_ascii=False) + "\n")
        except OSError as error:
            raise self._refusal(error) from error
        self._frames += 1

    def close(self) -> None:
        """Close the file.

        Raises:
            UserError: The disk is full.
        """
        try:
            if self._file is not None:
                self._file.close()
        except OSError as error:
            raise self._refusal(error) from error

    def _refusal(self, error: OSError) -> UserError:
        return UserError(
            f"{self._path} cannot be written ({error.strerror or error}) after {self._frames} "
            "frames, which stay: free disk space or choose another output=FOLDER."
        )
