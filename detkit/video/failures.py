"""FFmpeg's errors in words: what is wrong with a video, camera or stream, and what to do."""

from __future__ import annotations

import errno
from pathlib import Path

from detkit.errors import DataError
from detkit.video.locations import Kind, Location

TIMEOUT = 10.0  # seconds that a server may take to answer, and to send the next frame
_NO_ANSWER = ("ExitError", "TimeoutError")  # PyAV's classes; ExitError is its own time limit


def cannot_open(location: Location, error: Exception) -> DataError:
    """The error for a location that FFmpeg cannot open."""
    if location.kind is Kind.CAMERA:
        return DataError(f"source={location}: {_camera_reason(location, error)}")
    if location.kind is Kind.FILE:
        return DataError(f"source={location}: {_file_reason(Path(location.address), error)}")
    return DataError(f"source={location}: {_stream_reason(error)}")


def without_video(location: Location, has_audio: bool) -> DataError:
    """The error for a file or stream that has no video."""
    if has_audio:
        return DataError(f"source={location}: contains only audio; expected a video.")
    return DataError(
        f"source={location}: contains no video: the file is cut short, damaged, or no video."
    )


def unknown_codec(location: Location) -> DataError:
    """The error for a video whose codec this FFmpeg does not contain."""
    return DataError(
        f"source={location}: uses a codec that PyAV's FFmpeg cannot decode: convert it, "
        "for example with `ffmpeg -i IN -c:v libx264 OUT.mp4`."
    )


def reason_of(error: Exception) -> str:
    """A few words for an error that ends a stream."""
    if type(error).__name__ in _NO_ANSWER:
        return f"sent nothing for {TIMEOUT:.0f} s"
    return getattr(error, "strerror", None) or str(error)


def _file_reason(path: Path, error: Exception) -> str:
    if isinstance(error, FileNotFoundError) or not (path.exists() or "%" in path.name):
        return "there is no such file."
    if isinstance(error, PermissionError):
        return "you may not read it: change its permissions."
    if path.is_file() and path.stat().st_size == 0:
        return "the file is empty."
    return (
        "not a video that FFmpeg can open: the file is cut short, damaged, or no video "
        f"({reason_of(error)})."
    )


def _camera_reason(location: Location, error: Exception) -> str:
    cameras = sorted(map(str, Path("/dev").glob("video*")))
    if isinstance(error, FileNotFoundError) or not Path(location.address).exists():
        have = f"this machine has {', '.join(cameras)}" if cameras else "this machine has none"
        return f"there is no such camera; {have}."
    if isinstance(error, PermissionError):
        return "you may not use the camera: join the group `video`, or ask an administrator."
    if getattr(error, "errno", None) == errno.EBUSY:
        return "the camera is busy: close the program that uses it."
    return f"the camera cannot be opened ({reason_of(error)})."


def _stream_reason(error: Exception) -> str:
    if type(error).__name__ in _NO_ANSWER:
        return f"the server did not answer for {TIMEOUT:.0f} s."
    if isinstance(error, ConnectionRefusedError):
        return "the server refuses the connection: check host and port."
    return f"cannot be opened as a video ({reason_of(error)}): check the address."
