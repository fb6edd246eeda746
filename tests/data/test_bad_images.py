"""Image files that are damaged, odd or enormous."""

import random
import struct
import subprocess
import sys
import time
import warnings
import zlib
from contextlib import suppress
from functools import partial

import numpy as np
import pytest
import torch
from PIL import Image

from detkit.data.image_decoding import as_tensor, decode
from detkit.data.index import Annotation, IndexBuilder
from detkit.data.single_image import read_image
from detkit.data.transforms.resizing import Resize
from detkit.errors import DataError
from detkit.pixels.image_decoding import (
    UnreadableImageError,
    read_header,
    read_size,
    turn,
    turn_box,
)

NOISE = np.random.default_rng(0).integers(0, 256, (24, 40, 3), dtype=np.uint8)


def deep_png(width, height, value, colours=3):
    """A PNG with 16 bits per channel, which PIL cannot write in RGB."""

    def chunk(name, content):
        checksum = struct.pack(">I", zlib.crc32(name + content))
        return struct.pack(">I", len(content)) + name + content + checksum

    row = b"\0" + struct.pack(">H", value) * (width * colours)
    header = struct.pack(">IIBBBBB", width, height, 16, 2 if colours == 3 else 0, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(row * height))
    return b"\x89PNG\r\n\x1a\n" + body + chunk(b"IEND", b"")


def reason(path, function=decode):
    with pytest.raises(UnreadableImageError) as caught:
        function(path)
    return caught.value.reason


@pytest.mark.parametrize("kept", [0.3, 0.6, 0.9])
# pain 23
def test_a_jpeg_cut_short_is_named_as_such(tmp_path, kept):
    path = tmp_path / "a.jpg"
    Image.fromarray(NOISE).save(path)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * kept)])
    assert reason(path) == "truncated file"


def test_one_pixel_is_an_image(tmp_path):
    Image.new("RGB", (1, 1), (9, 8, 7)).save(tmp_path / "a.png")
    assert decode(tmp_path / "a.png").flatten().tolist() == [9, 8, 7]
    sample = read_image(
        partial(decode, tmp_path / "a.png"), "a.png", transforms={"size": Resize(short_side=8)}
    )
    assert sample.size == (8, 8)


def test_a_palette_with_transparency_gives_its_colours_without_a_warning(tmp_path):
    image = Image.fromarray(NOISE).quantize(16)
    image.save(tmp_path / "a.png", transparency=bytes(range(0, 256, 16)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pixels = decode(tmp_path / "a.png")
    assert pixels.permute(1, 2, 0).equal(torch.from_numpy(np.array(image.convert("RGB"))))


def test_of_sixteen_bits_of_rgb_the_upper_eight_are_taken(tmp_path):
    (tmp_path / "a.png").write_bytes(deep_png(3, 2, 0x7512))
    assert decode(tmp_path / "a.png").eq(0x75).all()


@pytest.mark.parametrize("colours", [1, 3])
def test_a_deep_png_named_jpg_is_eight_bits(tmp_path, colours):
    (tmp_path / "a.jpg").write_bytes(deep_png(3, 2, 0x7512, colours))
    image = decode(tmp_path / "a.jpg")
    assert (image.dtype, tuple(image.shape)) == (torch.uint8, (3, 2, 3))


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".png", ".jpg"])  # .jpg: a GIF named so
def test_the_first_frame_of_an_animation_is_used_and_reported_once(tmp_path, caplog, suffix):
    path = tmp_path / f"a{suffix}"
    frames = [Image.new("RGB", (6, 4), (value, value, value)) for value in (255, 0, 0)]
    kind = "GIF" if suffix == ".jpg" else None
    frames[0].save(path, format=kind, save_all=True, append_images=frames[1:])
    image = decode(path)
    assert (tuple(image.shape), image.eq(255).all()) == ((3, 4, 6), True)
    assert read_header(path).animated
    builder = IndexBuilder(tmp_path, ["cat"])
    builder.add_image(path.name, 1)
    builder.build()
    assert len(caplog.records) == 1
    assert f"1 image (has several frames; the first is used): {path.name}" in caplog.text


def test_a_photograph_of_a_phone_is_no_animation(tmp_path):
    path = tmp_path / "a.jpg"
    first, preview = Image.fromarray(NOISE), Image.new("RGB", (4, 4))
    first.save(path, format="MPO", save_all=True, append_images=[preview])
    assert not read_header(path).animated
    assert decode(path).shape == (3, 24, 40)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif"])
@pytest.mark.parametrize("orientation", range(1, 9))
# pain 23
def test_size_and_pixels_agree_in_every_orientation(tmp_path, suffix, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / f"a{suffix}"
    blocks = np.kron(NOISE[::8, ::8], np.ones((8, 8, 1), dtype=np.uint8))
    Image.fromarray(blocks).save(path, exif=exif, quality=100)
    image = decode(path)
    header = read_header(path)
    assert tuple(image.shape[-2:]) == header.size == read_size(path)
    assert (header.stored_size, header.orientation) == ((24, 40), orientation)
    expected = as_tensor(turn(blocks, orientation))
    assert (image.int() - expected.int()).abs().float().mean() < 9  # lossy but the same picture


@pytest.mark.parametrize("orientation", range(1, 9))
# pain 23
def test_boxes_turn_as_their_pixels_do(orientation):
    stored = np.zeros((20, 30, 3), np.uint8)
    stored[2:7, 4:13] = 255
    upright = turn(stored, orientation)
    x1, y1, x2, y2 = map(int, turn_box((4, 2, 13, 7), orientation, upright.shape[:2]))
    assert (upright[y1:y2, x1:x2] == 255).all()
    assert np.count_nonzero(upright[..., 0]) == (x2 - x1) * (y2 - y1) == 45


@pytest.mark.parametrize(("size", "box"), [((40, 24), (4, 2, 13, 7)), ((24, 40), (17, 4, 22, 13))])
# pain 23
def test_sizes_may_be_annotated_before_or_after_the_rotation(tmp_path, caplog, size, box):
    exif = Image.Exif()
    exif[0x0112] = 6  # stored 24 high and 40 wide, seen 40 high and 24 wide
    Image.fromarray(NOISE).save(tmp_path / "a.jpg", exif=exif)
    builder = IndexBuilder(tmp_path, ["cat"])
    assert builder.add_image("a.jpg", 1, size)
    builder.add_object(Annotation(0, (4, 2, 13, 7)))
    index = builder.build()
    assert index.sizes.tolist() == [[40, 24]]
    assert index.boxes.tolist() == [list(box)]
    said = "annotated before its EXIF rotation; boxes rotated with it" in caplog.text
    assert said == (size == (24, 40))


def test_damaged_exif_does_not_cost_the_picture(tmp_path):
    path = tmp_path / "a.jpg"
    Image.fromarray(NOISE).save(path, exif=b"Exif\0\0MM\0*\xff\xff\xff\xff\0\1")
    assert decode(path).shape[-2:] == read_size(path) == (24, 40)


def test_a_panorama_of_20000_pixels_is_read(tmp_path):
    path = tmp_path / "a.png"
    Image.new("1", (20000, 4500)).save(path)  # 90 million: more than where PIL begins to warn
    assert read_size(path) == (4500, 20000)


PANORAMA = """
import resource, sys, warnings
from pathlib import Path
from detkit.data.image_decoding import decode
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
with warnings.catch_warnings(record=True) as caught:
    image = decode(Path(sys.argv[1]))
taken = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
print(tuple(image.shape), len(caught), taken // 1024, sep="|")
"""


@pytest.mark.slow
@pytest.mark.parametrize(("suffix", "ceiling"), [(".jpg", 450), (".png", 950)])
def test_a_panorama_takes_little_more_memory_than_its_pixels(tmp_path, suffix, ceiling):
    path = tmp_path / f"a{suffix}"
    Image.new("RGB", (20000, 4500), (200, 100, 50)).save(path)  # 257 MiB of pixels
    command = [sys.executable, "-c", PANORAMA, str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    shape, warned, taken = done.stdout.split("|")
    assert (shape, warned) == ("(3, 4500, 20000)", "0")
    assert int(taken) < ceiling  # MiB


def test_an_image_larger_than_the_guard_is_left_out_unread(tmp_path):
    path = tmp_path / "a.png"
    Image.new("1", (20000, 9000)).save(path)
    start = time.process_time()
    assert reason(path) == "more than 178,956,970 pixels; cut it into tiles"
    assert reason(path, read_size) == reason(path)
    assert time.process_time() - start < 1
    with pytest.raises(DataError, match=r"a.png': more than 178,956,970 pixels; cut it into tiles"):
        read_image(partial(decode, path), f"the image '{path}'")


def test_files_other_than_images_are_identified(tmp_path):
    (tmp_path / "text.jpg").write_text("not found")
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "folder.jpg").mkdir()
    (tmp_path / "dangling.jpg").symlink_to("nowhere.jpg")
    (tmp_path / "loop.jpg").symlink_to("loop.jpg")
    for function in (decode, read_size):
        assert reason(tmp_path / "text.jpg", function) == "not an image"
        assert reason(tmp_path / "empty.jpg", function) == "empty file"
        assert reason(tmp_path / "folder.jpg", function) == "a folder, not a file"
        assert reason(tmp_path / "dangling.jpg", function) == "link to a missing file"
        assert reason(tmp_path / "loop.jpg", function) == "link that leads in a circle"
        assert reason(tmp_path / "missing.jpg", function) == "missing file"


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif", ".gif", ".bmp", ".ppm"])
@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::RuntimeWarning")
# pain 23
def test_damaged_bytes_give_an_image_or_one_kind_of_error(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    Image.fromarray(NOISE).save(path)
    whole = path.read_bytes()
    draw = random.Random(0)
    for _ in range(60):
        damaged = bytearray(whole)
        for _ in range(draw.choice((1, 3, 20))):
            place = draw.randrange(min(len(damaged), draw.choice((60, 10000))))
            damaged[place] ^= draw.randrange(1, 256)
        path.write_bytes(damaged)
        with suppress(UnreadableImageError):  # any other error fails
            size = read_size(path)
            if size[0] * size[1] < 1_000_000:  # a damaged size may be large; decoding takes long
                assert tuple(decode(path).shape[-2:]) == size
