"""Image formats that need more than Pillow, and advice on those it cannot read."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

from PIL import Image
from PIL.ImageFile import ImageFile

from detkit.image_files import NEEDS_CONVERSION

_START = 16  # bytes that identify the format
_BRANDS = {
    "HEIC": (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"),
    "AVIF": (b"avif", b"avis"),
}
_ADVICE = {
    "HEIC": 'HEIC; pip install "detkit[heif]" to read it, or convert it to JPEG',
    "AVIF": "AVIF, which this Pillow cannot read; update Pillow, or convert it to JPEG",
    "JPEG 2000": "JPEG 2000, which this Pillow cannot read; update Pillow, or convert it to PNG",
    "JPEG XL": "JPEG XL; convert it to JPEG or PNG",
}


def advice_for(source: Path | bytes) -> str | None:
    """Advice on a file, or its content, in a known format that Pillow cannot read; else None."""
    kind = _format_of(source[:_START] if isinstance(source, bytes) else _start_of(source))
    suffix = "" if isinstance(source, bytes) else source.suffix
    if kind is None and suffix.lower() in NEEDS_CONVERSION:
        return f"not an image that can be read ({suffix}); convert it to JPEG or PNG"
    return _ADVICE[kind] if kind is not None else None


def register_formats() -> None:
    """Let Pillow open HEIC files; the first one imports the plugin."""
    Image.preinit()  # so that JPEG, PNG and the other usual formats are tried first
    Image.register_open("HEIC", _open_heic, lambda start: _brand(start) == "HEIC")


def _open_heic(stream: Any, name: str | bytes) -> ImageFile:
    """The factory that Pillow calls; SyntaxError is its word for "not this format"."""
    try:
        plugin = import_module("pillow_heif")
    except ImportError as error:
        raise SyntaxError("pillow-heif is not installed") from error
    plugin.register_heif_opener()
    return Image.OPEN["HEIF"][0](stream, name)


def _start_of(path: Path) -> bytes:
    try:
        with open(path, "rb", buffering=0) as stream:
            return stream.read(_START)
    except OSError:
        return b""


def _format_of(start: bytes) -> str | None:
    if (kind := _brand(start)) is not None:
        return kind
    if start[4:8] == b"jP  " or start.startswith(b"\xff\x4f\xff\x51"):
        return "JPEG 2000"
    return "JPEG XL" if start[4:8] == b"JXL " or start.startswith(b"\xff\x0a") else None


def _brand(start: bytes) -> str | None:
    """The format of a file in the container that HEIC and AVIF share."""
    if start[4:8] != b"ftyp":
        return None
    return next((kind for kind, brands in _BRANDS.items() if start[8:12] in brands), None)
