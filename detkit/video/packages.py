"""The optional packages that video and tracking need, imported on first use."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from detkit.errors import DataError


def import_av(subject: str) -> Any:
    """PyAV, whose wheels contain FFmpeg.

    Args:
        subject: What needs it, such as `source=clip.mp4`, for the message.

    Raises:
        DataError: It is not installed.
    """
    return _imported("av", subject, "reading video needs PyAV", "video")


def import_trackers(subject: str) -> Any:
    """The package `trackers`.

    Raises:
        DataError: It is not installed.
    """
    return _imported("trackers", subject, "tracking needs the package trackers", "track")


def _imported(name: str, subject: str, need: str, extra: str) -> Any:
    try:
        return import_module(name)
    except ImportError as error:
        raise DataError(
            f'{subject}: {need}, which cannot be imported ({error}): pip install "detkit[{extra}]"'
        ) from error
