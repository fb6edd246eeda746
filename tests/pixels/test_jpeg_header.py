"""The size of a JPEG from its first bytes, as PIL gives it; PIL is asked wherever it is unusual."""

import io

import numpy as np
import pytest
from PIL import Image

from detkit.pixels.jpeg_header import plain_jpeg_size


def jpeg(mode="RGB", size=(33, 21), form="JPEG", **options):
    pixels = np.random.default_rng(0).integers(0, 256, (*size[::-1], 4), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(buffer, form, **options)
    return buffer.getvalue()


OPTIONS = [{}, {"progressive": True}, {"subsampling": "4:4:4"}, {"comment": b"x" * 99}]


@pytest.mark.parametrize("options", [*OPTIONS, {"restart_marker_rows": 1}])
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_usual_images_tell_their_size(mode, options):
    assert plain_jpeg_size(jpeg(mode, **options)) == (21, 33)


def test_unusual_files_are_left_to_pil():
    exif = Image.Exif()
    exif[0x0112] = 6
    unusual = [jpeg(exif=exif), jpeg("CMYK"), jpeg(form="PNG"), jpeg(icc_profile=b"x" * 200), b""]
    assert [plain_jpeg_size(content) for content in unusual] == [None] * 5
    whole = jpeg()
    scan = whole.index(b"\xff\xda")
    assert all(plain_jpeg_size(whole[:length]) is None for length in range(scan + 1))
    deep = whole.replace(b"\xff\xc0\x00\x11\x08", b"\xff\xc0\x00\x11\x0c")
    assert plain_jpeg_size(deep) is None
