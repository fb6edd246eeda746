"""What a source is: a video file, a camera, a stream, or an address on the web."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from glob import has_magic
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from detkit.errors import UserError

VIDEO_SUFFIXES = (
    *(".mp4", ".m4v", ".mov", ".mkv", ".webm", ".avi", ".mpg", ".mpeg", ".mpe", ".m2v", ".mts"),
    *(".m2ts", ".wmv", ".asf", ".flv", ".f4v", ".ogv", ".3gp", ".3g2", ".vob", ".mxf", ".y4m"),
    *(".h264", ".264", ".h265", ".hevc", ".mjpeg", ".mjpg"),
)
_SEQUENCE = re.compile(r"%0?\d*d[^/]*$")
_DEVICE = re.compile(r"/dev/video\d+")


class Kind(Enum):
    """How to open a location."""

    FILE = "file"
    CAMERA = "camera"
    STREAM = "stream"
    WEB = "web"  # http: an image, a video file or a stream, which only its server knows


_STREAMS = ("rtsp", "rtsps", "rtmp", "rtmps", "rtp", "udp", "tcp", "srt", "mms", "mmsh")
_SCHEMES = {**dict.fromkeys(_STREAMS, Kind.STREAM), "http": Kind.WEB, "https": Kind.WEB}


@dataclass(frozen=True)
class Location:
    """Where images or videos come from.

    Attributes:
        address: The path, device or URL that opens it.
        kind: How to open it.
    """

    address: str
    kind: Kind

    @property
    def name(self) -> str:
        """A name for its results: the file's stem, `camera0`, or the end of the URL."""
        if self.is_sequence:
            return Path(self.address).absolute().parent.name
        if self.kind is Kind.FILE:
            return Path(self.address).stem
        if self.kind is Kind.CAMERA:
            return f"camera{self.address.removeprefix('/dev/video')}"
        parts = urlsplit(self.address)
        stem = Path(parts.path.rstrip("/")).stem
        return re.sub(r"[^\w.-]+", "_", stem or parts.hostname or "stream")

    @property
    def is_sequence(self) -> bool:
        """Whether the address is a pattern of numbered pictures, such as `frames/%06d.jpg`."""
        return self.kind is Kind.FILE and bool(_SEQUENCE.search(self.address))

    def __str__(self) -> str:
        """The address without the password that a URL may contain."""
        return without_password(self.address)


def location_of(source: str | int | Path) -> Location | None:
    """The location of a source that is no image file, folder or pattern; None for these.

    A number is a camera, unless there is a file of that name.

    Raises:
        UserError: It is an address that cannot be read.
    """
    text = str(source)
    if not text:
        return None
    if text.isdecimal() and not Path(text).exists():
        text = f"/dev/video{int(text)}"
    if _DEVICE.fullmatch(text):
        return Location(text, Kind.CAMERA)
    scheme, separator, _ = text.partition("://")
    if separator and scheme.lower() in _SCHEMES:
        _require_address(text, scheme.lower())
        return Location(text, _SCHEMES[scheme.lower()])
    if (_SEQUENCE.search(text) or _is_video_file(text)) and not Path(text).is_dir():
        return Location(str(Path(text).expanduser()), Kind.FILE)
    return None


def _require_address(text: str, scheme: str) -> None:
    """Refuse an address without a host.

    Raises:
        UserError: It is one.
    """
    try:
        host = urlsplit(text).netloc
    except ValueError:
        host = ""
    if not host:
        raise UserError(f"source={text}: is not a valid address; expected {scheme}://HOST/PATH.")


def is_video(path: Path) -> bool:
    """Whether a file has the suffix of a video."""
    return path.suffix.lower() in VIDEO_SUFFIXES


def _is_video_file(text: str) -> bool:
    """Whether a text names a video, and is no pattern that fits several files."""
    return is_video(Path(text)) and (not has_magic(text) or Path(text).exists())


def without_password(address: str) -> str:
    """A URL whose password is replaced by asterisks; other addresses as they are."""
    parts = urlsplit(address) if "://" in address else None
    if parts is None or parts.password is None:
        return address
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{parts.username}:***@{host}"))


def result_names(locations: Sequence[Location]) -> list[str]:
    """A name for the results of each location; equal names, ignoring case, get a number."""
    used: set[str] = set()
    names = []
    for location in locations:
        name, number = location.name, 1
        while name.casefold() in used:
            number += 1
            name = f"{location.name}-{number}"
        used.add(name.casefold())
        names.append(name)
    return names
