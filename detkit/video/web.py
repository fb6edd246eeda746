"""What an http address holds, asked of its server: an image, which is downloaded, or a video."""

from __future__ import annotations

import http.client
import socket
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from detkit.errors import DataError
from detkit.image_files import is_image
from detkit.version import __version__
from detkit.video import failures
from detkit.video.locations import without_password

_LARGEST_IMAGE = 512 * 2**20  # bytes
_CHUNK = 2**20
_TEXTS = ("text/", "application/json", "application/xhtml")
_PLAYLIST = ".m3u8"  # some servers send these as text
_UNCLEAR = ("application/octet-stream", "binary/octet-stream", "")


def image_at(url: str) -> bytes | None:
    """The bytes of the image at an address; None if the address holds a video.

    Raises:
        DataError: The server does not answer, or has neither of them there.
    """
    try:
        with urlopen(_request(url), timeout=failures.TIMEOUT) as response:
            kind = response.headers.get_content_type() if response.headers["Content-Type"] else ""
            path = Path(urlsplit(url).path)
            if kind.startswith(_TEXTS) and path.suffix.lower() != _PLAYLIST:
                raise DataError(
                    f"source={without_password(url)}: the server sends {kind}; expected an image "
                    "or a video: give the address of the file itself."
                )
            if kind.startswith("image/") or (kind in _UNCLEAR and is_image(path)):
                return _content(response, url)
            return None
    except HTTPError as error:
        text = str(error.reason).splitlines()[0] if error.reason else "no reason"
        reason = f"the server answers {error.code} ({text.rstrip('.')})"
        raise DataError(f"source={without_password(url)}: {reason}; check the address.") from error
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise DataError(f"source={without_password(url)}: {_reason(error)}.") from error


def _request(url: str) -> Request:
    return Request(url, headers={"User-Agent": f"detkit/{__version__}"})


def _content(response: http.client.HTTPResponse, url: str) -> bytes:
    chunks, size = [], 0
    while chunk := response.read(_CHUNK):
        chunks.append(chunk)
        size += len(chunk)
        if size > _LARGEST_IMAGE:
            limit = f"{_LARGEST_IMAGE // 2**20} MiB"
            raise DataError(f"source={without_password(url)}: the image is larger than {limit}.")
    expected = response.headers["Content-Length"]
    if expected is not None and expected.isdecimal() and size < int(expected):
        raise DataError(
            f"source={without_password(url)}: the download broke off after {size:,} of "
            f"{int(expected):,} bytes; try again."
        )
    return b"".join(chunks)


def _reason(error: Exception) -> str:
    cause = error.reason if isinstance(error, URLError) else error
    if isinstance(cause, TimeoutError):
        return f"the server did not answer for {failures.TIMEOUT:.0f} s"
    if isinstance(cause, ConnectionRefusedError):
        return "the server refuses the connection: check host and port"
    if isinstance(cause, socket.gaierror):
        return "there is no such host: check the address"
    return f"cannot be downloaded ({cause})"
