"""Download published weights to PyTorch's cache; an interrupted download resumes.

Hand-written because `torch.hub` starts again from zero after an interruption and shows neither size
nor licence before it begins. Proxies come from the environment, as `urllib` reads them.
"""

from __future__ import annotations

import hashlib
import os
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, build_opener

import torch

from detkit.errors import UserError
from detkit.files import PART, lock
from detkit.terminal import StatusLine, is_terminal

_CHUNK = 1 << 20  # bytes
_SECONDS = 30.0  # to wait for an answer
_PARTIAL, _OUT_OF_RANGE = 206, 416  # HTTP: part of the file follows; there is no such part
_HASH = re.compile(r"-([0-9a-f]{8,64})\.\w+$")  # at the end of a name, as torch.hub writes it


@dataclass(frozen=True)
class WebFile:
    """A file with published weights, whose name ends with the beginning of its SHA-256.

    Attributes:
        url: Its address.
        licence: Its licence.
        megabytes: Its size, if known.
    """

    url: str
    licence: str
    megabytes: float | None = None

    @property
    def target(self) -> Path:
        """Its place in PyTorch's cache, where torchvision looks for it, too."""
        return Path(torch.hub.get_dir(), "checkpoints", self.url.rpartition("/")[2])

    def cached(self) -> Path | None:
        """The file in the cache; None if it was not downloaded yet."""
        return self.target if self.target.is_file() else None

    def missing(self, key: str, reason: str) -> UserError:
        """The error of a file that is not in the cache.

        Args:
            key: The configuration key and its value, for the message.
            reason: Why it is not there.
        """
        return UserError(
            f"{key}: {self.url} {reason}: download {self.target.name} elsewhere and put it into "
            f"{self.target.parent}, or give its path: weights=FILE."
        )

    def fetch(self, key: str) -> Path:
        """The file in the cache, downloaded if necessary.

        Args:
            key: The configuration key and its value, for messages.

        Raises:
            UserError: It cannot be downloaded or written, or is damaged.
        """
        if (path := self.cached()) is not None:
            return path
        try:
            self._download()
        except (OSError, HTTPException) as error:
            reason = str(getattr(error, "reason", error)).partition("\n")[0]
            raise self.missing(key, f"could not be downloaded ({reason})") from error
        return self.target

    def about(self) -> str:
        """Source, size, licence and check sum, before the download."""
        size = "unknown size" if self.megabytes is None else f"{self.megabytes:.0f} MB"
        return about_download(self.url, size, self.licence, self._expected_hash(), self.target)

    def _expected_hash(self) -> str:
        match = _HASH.search(self.url)
        return match[1] if match else ""

    def _download(self) -> None:
        part = self.target.with_name(self.target.name + PART)
        start = part.stat().st_size if part.is_file() else 0
        answer = _open(self.url, start)
        with answer:
            sys.stderr.write(f"{self.about()}\n")
            part.parent.mkdir(parents=True, exist_ok=True)
            with part.open("ab") as file:
                lock(file, wait=True)
                if self.target.is_file():  # another process was faster
                    return
                start = start if answer.status == _PARTIAL else 0
                file.truncate(start)  # another process may have written more before it died
                for chunk in _shown(answer, start):
                    file.write(chunk)
                file.flush()
                self._check(part)  # still locked: a process that waits must not write now
                os.replace(part, self.target)

    def _check(self, part: Path) -> None:
        with part.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        expected = self._expected_hash()
        if not digest.startswith(expected):
            part.unlink()
            raise UserError(
                f"{self.url}: the downloaded file is damaged: its SHA-256 starts with "
                f"{digest[: len(expected)]}, expected {expected}. Try again."
            )


def about_download(source: str, size: str, licence: str, sha256: str, target: Path) -> str:
    """One line about a download that begins."""
    check_sum = f"SHA-256 {sha256}{'' if len(sha256) == 64 else '...'}"  # noqa: PLR2004
    return (
        f"downloading weights: {source} ({size}, licence {licence}, "
        f"{check_sum if sha256 else 'no check sum'}) to {target}"
    )


def _open(url: str, start: int) -> HTTPResponse:
    """Open a file at a position; from the beginning if the server cannot."""
    headers = {"User-Agent": "detkit", **({"Range": f"bytes={start}-"} if start else {})}
    try:
        request = Request(url, headers=headers)
        answer: HTTPResponse = build_opener().open(request, timeout=_SECONDS)
    except HTTPError as error:
        if error.code != _OUT_OF_RANGE:
            raise
        return _open(url, 0)
    return answer


def _shown(answer: HTTPResponse, start: int) -> Iterator[bytes]:
    """The chunks of an answer; a terminal shows how many megabytes have come."""
    line = StatusLine(sys.stderr) if is_terminal(sys.stderr) else None
    total = start + int(answer.headers.get("Content-Length") or 0)
    if line is not None:
        line.open()
    try:
        while chunk := answer.read(_CHUNK):
            start += len(chunk)
            if line is not None:
                line.show(f"downloading: {start / 1e6:.0f} of {total / 1e6:.0f} MB")
            yield chunk
    finally:
        if line is not None:
            line.close()
    if total and start < total:
        raise OSError(f"the connection ended after {start / 1e6:.0f} of {total / 1e6:.0f} MB")
