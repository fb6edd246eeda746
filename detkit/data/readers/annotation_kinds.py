"""Recognise annotation files by their content, reading large files in parts."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

COCO_LISTS = ("images", "annotations", "categories")
_HEAD = 2**16  # bytes that identify a small file
_PART = 2**22  # bytes of a large file read at a time
_OVERLAP = 64  # bytes repeated between parts, in case a key straddles two of them
_TAG = re.compile(rb"<([A-Za-z_][^\s>/]*)")
_COMMENT = re.compile(rb"<!--.*?(-->|$)", re.DOTALL)
_KEYS = {key: re.compile(rb'"%s"\s*:\s*\[' % key.encode()) for key in COCO_LISTS}
_FILE_NAME = re.compile(rb'"file_name"\s*:')
_SCORE = re.compile(rb'"score"\s*:')


def has_coco_lists(file: Path) -> bool:
    """Whether a file is a JSON object with images, annotations and categories.

    A file whose first annotation has a score holds detections, so it does not count.
    """
    return not missing_coco_lists(file) and not _has_scores(file)


def missing_coco_lists(file: Path) -> list[str]:
    """The COCO lists that a file lacks; all three if it is not a JSON object."""
    missing = dict(_KEYS)
    for number, part in enumerate(_parts(file)):
        if number == 0 and not part.lstrip(b"\xef\xbb\xbf\xff\xfe \t\r\n").startswith(b"{"):
            break
        missing = {key: pattern for key, pattern in missing.items() if not pattern.search(part)}
        if not missing:
            break
    return list(missing)


def count_images(file: Path) -> int:
    """Count the images of a COCO file by their file names, without parsing it."""
    return sum(len(_FILE_NAME.findall(part)) for part in _parts(file))


def root_tag(file: Path) -> str | None:
    """The name of the root element of an XML file; None if it has none."""
    match = _TAG.search(_COMMENT.sub(b"", start_of(file)))
    return match.group(1).decode("utf-8", "replace") if match is not None else None


def is_voc_page(file: Path) -> bool:
    """Whether an XML file is an annotation in the format of Pascal VOC."""
    return root_tag(file) == "annotation"


def is_label_text(file: Path) -> bool:
    """Whether the first line of a text file is a class followed by four or more numbers."""
    lines = start_of(file).decode("utf-8", "replace").lstrip("\ufeff").splitlines()
    values = next((line.replace(",", " ").split() for line in lines if line.strip()), [])
    return len(values) > 4 and all(map(_is_number, values[1:]))  # noqa: PLR2004


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _has_scores(file: Path) -> bool:
    for part in _parts(file):
        match = _KEYS["annotations"].search(part)
        if match is not None:
            first = part[match.end() : match.end() + _HEAD].partition(b"}")[0]
            return _SCORE.search(first) is not None
    return False


def start_of(file: Path) -> bytes:
    """The first bytes of a file; none if it cannot be read."""
    return next(_parts(file, _HEAD), b"")


def _parts(file: Path, size: int | None = None) -> Iterator[bytes]:
    """The bytes of a file in parts that overlap: the first, the last, then the others in order.

    Zero bytes are removed, so UTF-16 looks like ASCII.
    """
    size = size or _PART
    try:
        with file.open("rb") as stream:
            length = stream.seek(0, os.SEEK_END)
            starts = list(range(0, length, size))
            for start in [*starts[:1], *starts[:0:-1][:1], *starts[1:-1]]:
                stream.seek(max(0, start - _OVERLAP))
                yield stream.read(size + min(start, _OVERLAP)).replace(b"\0", b"")
    except OSError:
        return
