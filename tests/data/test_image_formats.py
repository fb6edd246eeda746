"""Image files beyond JPEG and PNG: read if anything installed can, else named with a remedy."""

import struct
import sys

import pytest
from PIL import Image, features

from detkit.data.audit.image_scan import look_at
from detkit.data.image_decoding import decode
from detkit.pixels.image_decoding import UnreadableImageError, read_header

HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(40)
ORIENTATION = 0x0112


@pytest.mark.parametrize(("suffix", "kind", "feature"), [
    (".jfif", "JPEG", None), (".jp2", "JPEG2000", "jpg_2000"), (".avif", "AVIF", "avif"),
    (".tga", "TGA", None), ("", "PNG", None),
])  # fmt: skip
def test_formats_of_pillow_are_read(tmp_path, suffix, kind, feature):
    if feature is not None and not features.check(feature):
        pytest.skip(f"this Pillow has no {kind}")
    Image.new("RGB", (8, 6), (200, 0, 0)).save(tmp_path / f"a{suffix}", format=kind)
    assert decode(tmp_path / f"a{suffix}").shape == (3, 6, 8)


# pain 33
@pytest.mark.parametrize(("name", "content", "remedy"), [
    ("a.heic", HEIC, r'HEIC; pip install "detkit\[heif\]" to read it, or convert it to JPEG'),
    ("a.jpg", HEIC, r"HEIC; pip install"),  # phones and people rename
    ("a.jxl", b"\xff\x0a" + bytes(40), "JPEG XL; convert it to JPEG or PNG"),
    ("a.jp2", b"\0\0\0\x0cjP  broken" + bytes(40), "JPEG 2000"),
    ("a.avif", b"\0\0\0\x18ftypavif\0\0\0\0", "AVIF"),
    ("a.exr", b"v/1\x01" + bytes(40), r"not an image that can be read \(.exr\); convert it"),
    ("a.CR2", b"II*\0\x10\0\0\0CR", "a camera's raw format; convert it"),
])  # fmt: skip
def test_unreadable_formats_are_named_with_a_remedy(tmp_path, monkeypatch, name, content, remedy):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)  # as if it were not installed
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UnreadableImageError, match=remedy):
        read_header(tmp_path / name)


def test_heic_is_read_with_the_plugin(tmp_path):
    plugin = pytest.importorskip("pillow_heif")
    plugin.from_pillow(Image.new("RGB", (16, 8), (200, 0, 0))).save(tmp_path / "a.heic")
    assert decode(tmp_path / "a.heic").shape == (3, 8, 16)


@pytest.mark.parametrize("value", [0, 9, 65537])
def test_an_orientation_that_exif_does_not_know_is_upright(tmp_path, value):
    image = Image.new("RGB", (8, 6))
    kind = "L" if value > 65535 else "H"  # the type of the number in the file
    entry = struct.pack(f"<HHI{kind}", ORIENTATION, 4 if kind == "L" else 3, 1, value)
    tiff = b"II*\0\x08\0\0\0\1\0" + entry.ljust(12, b"\0") + bytes(4)
    image.save(tmp_path / "a.jpg", exif=b"Exif\0\0" + tiff)
    facts = look_at(tmp_path / "a.jpg")
    assert (facts.orientation, facts.size) == (1, (6, 8))
