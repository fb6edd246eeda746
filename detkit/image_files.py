"""Recognise image files, and files and folders that never belong to a data set."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

# Pillow reads these; AVIF and JPEG 2000 only if it was built with them.
_PILLOW = (
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".apng", ".bmp", ".dib", ".tif", ".tiff"),
    *(".webp", ".gif", ".ppm", ".pgm", ".pbm", ".pnm", ".tga", ".jp2", ".j2k", ".jpx", ".avif"),
)
HEIF_SUFFIXES = (".heic", ".heif", ".hif")  # need the plugin pillow-heif
# Raw photographs, which detkit cannot read; it reports them instead of ignoring them.
RAW_SUFFIXES = (".dng", ".cr2", ".cr3", ".nef", ".arw", ".raf", ".orf", ".rw2", ".pef", ".srw")
# Formats of other fields that sometimes hold photographs.
_FOREIGN = (".exr", ".hdr", ".dcm", ".jxr", ".psd")
NEEDS_CONVERSION = (*HEIF_SUFFIXES, ".jxl", *RAW_SUFFIXES, *_FOREIGN)
NUMPY_SUFFIX = ".npy"
SUFFIXES = (*_PILLOW, NUMPY_SUFFIX, *NEEDS_CONVERSION)

# The first bytes of image files, for files without a suffix.
_SIGNATURES = (b"\xff\xd8\xff", b"\x89PNG\r\n", b"GIF8", b"II*\0", b"MM\0*", b"\xff\x0a")
_BOX_SIGNATURES = (b"ftyp", b"jP  ", b"JXL ")  # at byte 4: AVIF and HEIC, JPEG 2000, JPEG XL
_JUNK = ("__MACOSX", "__pycache__", "@eaDir", "#recycle", "$RECYCLE.BIN", "lost+found")


def is_hidden(name: str) -> bool:
    """Whether a program keeps the file or folder for itself: .git, .ipynb_checkpoints, ._a.jpg."""
    return name.startswith(".") or name in _JUNK


def is_image(path: Path) -> bool:
    """Whether a file has the suffix of an image."""
    return path.suffix.lower() in SUFFIXES and not is_hidden(path.name)


def is_image_file(path: Path) -> bool:
    """Whether a file is an image by its suffix, or by its content if it has no suffix."""
    if path.suffix:
        return is_image(path)
    return not is_hidden(path.name) and looks_like_image(path)


def looks_like_image(path: Path) -> bool:
    """Whether a file begins like an image."""
    try:
        with open(path, "rb", buffering=0) as stream:
            start = stream.read(16)
    except OSError:
        return False
    is_webp = start.startswith(b"RIFF") and start[8:12] == b"WEBP"
    is_bmp = start.startswith(b"BM") and start[6:10] == bytes(4)
    return is_webp or is_bmp or start.startswith(_SIGNATURES) or start[4:8] in _BOX_SIGNATURES


def images_among(files: Iterable[Path]) -> list[Path]:
    """The image files, sorted, without raw originals that have a converted copy.

    A NumPy file with the name of an image is left out too: other programs cache pixels like that.
    """
    images = sorted(file for file in files if is_image_file(file))
    secondary = (*NEEDS_CONVERSION, NUMPY_SUFFIX)
    originals = {file for file in images if file.suffix.lower() in secondary}
    if not originals:
        return images
    copies = {file.with_suffix("") for file in images if file not in originals}
    return [file for file in images if not (file in originals and file.with_suffix("") in copies)]


def files_below(folder: Path, suffixes: tuple[str, ...] = ("",)) -> Iterator[Path]:
    """All files below a folder except hidden ones; follows links, visits each folder once.

    Args:
        folder: The folder to search.
        suffixes: Lower-case endings of file names, such as ".json"; case is ignored.
    """
    visited: set[tuple[int, int]] = set()
    for parent, folders, files in os.walk(folder, followlinks=True):
        entry = os.stat(parent)
        if (entry.st_dev, entry.st_ino) in visited:
            folders.clear()  # a link to a parent, or a second link to the same folder
            continue
        visited.add((entry.st_dev, entry.st_ino))
        # sorted, so that the order does not depend on the file system
        folders[:] = sorted(name for name in folders if not is_hidden(name))
        yield from (
            Path(parent, name)
            for name in files
            if name.lower().endswith(suffixes) and not is_hidden(name)
        )
