"""Images from files and from memory become the same pixels; everything else is refused."""

import io

import numpy as np
import pytest
import torch
from PIL import Image

from detkit.api.image_inputs import images_to_read
from detkit.data.image_decoding import as_tensor, decode, torchvision_jpeg
from detkit.errors import UserError
from detkit.pixels.image_decoding import UnreadableImageError
from detkit.pixels.pixel_format import PixelFormat

COLOURS = np.arange(5 * 7 * 3, dtype=np.uint8).reshape(5, 7, 3)
_ORIENTATION = 0x0112


def pixels(value) -> torch.Tensor:
    """The image as a run gets it; `decode_pixels` alone must give the same."""
    fast, plain = (images_to_read(value, decode)[0] for decode in (torchvision_jpeg, None))
    decoded = as_tensor(fast.decode())
    assert torch.equal(decoded, as_tensor(plain.decode()))
    return decoded


def encoded(picture: Image.Image, kind: str = "PNG", **options) -> bytes:
    stream = io.BytesIO()
    picture.save(stream, kind, **options)
    return stream.getvalue()


@pytest.mark.parametrize(
    "value",
    [
        COLOURS,
        COLOURS[..., ::-1][..., ::-1].copy(),
        np.asfortranarray(COLOURS),
        np.dstack([COLOURS, np.full((5, 7), 9, np.uint8)]),
        Image.fromarray(COLOURS),
        encoded(Image.fromarray(COLOURS)),
        bytearray(encoded(Image.fromarray(COLOURS))),
        torch.from_numpy(COLOURS).permute(2, 0, 1),
        torch.from_numpy(COLOURS).permute(2, 0, 1) / 255,
        torch.from_numpy(COLOURS).permute(2, 0, 1).double().requires_grad_(False) / 255,
    ],
    ids=["array", "copy", "fortran", "rgba", "pil", "bytes", "bytearray", "uint8", "float", "f64"],
)
def test_colours_arrive_unchanged_from_every_input_type(value):
    assert torch.equal(pixels(value), torch.from_numpy(COLOURS).permute(2, 0, 1))


def test_opencv_images_are_reversed_by_a_slice():
    bgr = COLOURS[..., ::-1]
    assert torch.equal(pixels(bgr[..., ::-1]), pixels(COLOURS))
    assert torch.equal(pixels(bgr), pixels(COLOURS).flip(0))


@pytest.mark.parametrize(
    "value",
    [COLOURS, torch.from_numpy(COLOURS).permute(2, 0, 1).contiguous(), Image.fromarray(COLOURS)],
    ids=["array", "tensor", "pil"],
)
def test_colours_are_innermost_in_memory_as_in_decoded_files(value):
    assert pixels(value).stride() == (1, 21, 3)


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "CMYK", "1", "I;16", "LA"])
def test_pictures_and_bytes_equal_the_file_in_every_mode(tmp_path, mode):
    if mode == "I;16":
        picture = Image.fromarray(np.arange(35, dtype=np.uint16).reshape(5, 7) * 1000)
    else:
        picture = Image.fromarray(COLOURS).convert(mode)
    path = tmp_path / ("a.tif" if mode == "CMYK" else "a.png")
    picture.save(path)
    assert torch.equal(pixels(Image.open(path)), decode(path))
    assert torch.equal(pixels(path.read_bytes()), decode(path))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_exif_orientation_is_applied(tmp_path, orientation, kind):
    exif = Image.Exif()
    exif[_ORIENTATION] = orientation
    content = encoded(Image.fromarray(COLOURS), kind, exif=exif)
    path = tmp_path / "a.img"
    path.write_bytes(content)
    assert torch.equal(pixels(content), decode(path))
    assert torch.equal(pixels(Image.open(path)), decode(path))


def test_grey_arrays_become_colours_and_deep_ones_are_stretched(tmp_path):
    grey = np.array([[0, 50], [100, 200]], np.uint8)
    assert pixels(grey)[1].tolist() == grey.tolist()
    assert torch.equal(pixels(grey[..., None]), pixels(grey))
    deep = np.array([[1000, 1500], [2000, 3000]], np.uint16)
    Image.fromarray(deep).save(tmp_path / "a.png")
    assert torch.equal(pixels(deep), decode(tmp_path / "a.png"))


def test_a_folder_or_pattern_expands_to_its_images(tmp_path):
    for name in ("b10.png", "b9.png", "a.png"):
        Image.fromarray(COLOURS).save(tmp_path / name)
    (tmp_path / "notes.txt").touch()
    names = [image.path.name for image in images_to_read([tmp_path, COLOURS])[:-1]]
    assert names == ["a.png", "b9.png", "b10.png"]
    assert len(images_to_read(str(tmp_path / "b*.png"))) == 2


def test_any_iterable_gives_its_images_in_order():
    images = images_to_read(value for value in (COLOURS, COLOURS[:2]))
    assert [tuple(image.decode().shape) for image in images] == [(5, 7, 3), (2, 7, 3)]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([], "predict got an empty list; expected a path, a NumPy array"),
        (None, "predict got None; expected a path"),
        ({"a": COLOURS}, "predict got a value of type dict"),
        ([COLOURS, 3], r"inputs\[1\] is a value of type int"),
        (COLOURS / 255, r"array of float64 \(5, 7, 3\); expected uint8.*\(array \* 255\)"),
        (COLOURS.astype(np.int64), "int64"),
        (COLOURS > 3, "bool"),
        (COLOURS.astype(np.uint16), r"uint16 \(5, 7, 3\); expected uint8"),
        (COLOURS.transpose(2, 0, 1), r"Channels come last: pass array.transpose\(1, 2, 0\)"),
        (COLOURS[None], r"For several images pass list\(array\)"),
        (COLOURS[:0], "expected an image with at least one pixel"),
        (torch.zeros(5, 7, 3), r"tensor of float32 \(5, 7, 3\); expected \(3, H, W\) RGB"),
        (torch.zeros(2, 3, 5, 7), r"For several images pass list\(tensor\)"),
        (torch.zeros(3, 5, 0), "expected an image with at least one pixel"),
        (torch.zeros(3, 5, 7).long(), "int64.*expected uint8 from 0 to 255, or floating"),
        (torch.full((3, 5, 7), 1.5), "values from 1.5 to 1.5; expected 0 to 1"),
        (torch.full((3, 5, 7), torch.nan), "values from nan to nan; expected 0 to 1"),
        (torch.zeros(3, 5, 7).to_sparse(), "expected a dense tensor"),
        (torch.zeros(3, 5, 7, device="meta"), "expected a dense tensor"),
        (io.BytesIO(b"image"), r"the image is an open file: pass its path, or its bytes by read"),
        ([io.BytesIO(b"image")], r"inputs\[0\] is an open file"),
        ("", "a path is empty"),
        ("rtsp://example.com/a", "is no http address: for streams call detector.video"),
        ("clip.MP4", "is a video: call detector.video"),
        ("missing/a.jpg", "there is no such file or folder"),
    ],
)
def test_other_inputs_are_refused_with_the_expected_types(value, message):
    with pytest.raises(UserError, match=message):
        images_to_read(value)


def test_a_tensor_that_learns_is_detached():
    value = torch.full((3, 5, 7), 0.5, requires_grad=True)
    assert pixels(value).unique().tolist() == [128]


@pytest.mark.parametrize(("content", "reason"), [(b"", "empty"), (b"text", "not an image")])
def test_bytes_other_than_an_image(content, reason):
    with pytest.raises(UnreadableImageError, match=reason):
        pixels(content)


def test_a_truncated_image_file():
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    content = encoded(Image.fromarray(noise))
    with pytest.raises(UnreadableImageError, match="truncated"):
        pixels(Image.open(io.BytesIO(content[:3000])))


def test_an_array_that_cannot_be_written_gives_no_warning(recwarn):
    array = COLOURS.copy()
    array.flags.writeable = False
    assert torch.equal(pixels(array), pixels(COLOURS))
    assert not recwarn.list


def test_deep_grey_of_either_byte_order_is_the_same():
    grey = COLOURS[..., 0].astype(np.uint16) * 256
    assert torch.equal(pixels(grey.astype(">u2")), pixels(grey))


def test_tensors_of_eight_bit_floats_are_read():
    assert pixels(torch.ones(3, 5, 7).to(torch.float8_e4m3fn)).unique().tolist() == [255]


DEEP = PixelFormat(4, (0, 1000))
PLANES = np.linspace(0, 1000, 2 * 3 * 4).reshape(2, 3, 4)


def test_arrays_and_tensors_of_other_channels_are_scaled():
    levels = PLANES * 0.255
    for value in (PLANES, torch.from_numpy(levels / 255).permute(2, 0, 1)):
        decoded = images_to_read(value, None, DEEP)[0].decode()
        np.testing.assert_allclose(decoded, levels, rtol=1e-5)
    grey = images_to_read(COLOURS[..., 0], None, PixelFormat(1))[0].decode()
    assert np.array_equal(grey[..., 0], COLOURS[..., 0])


@pytest.mark.parametrize(
    ("value", "pixels", "text"),
    [
        (COLOURS, DEEP, r"expected \(H, W, 4\): it has 3 channels, and data.channels is 4"),
        (PLANES, PixelFormat(4), r"it holds float64 values: set data.value_range"),
        (torch.zeros(3, 5, 7), DEEP, r"expected \(4, H, W\)\."),
        (np.zeros(3), DEEP, r"expected \(H, W, 4\)\."),
    ],
)
def test_other_channels_than_the_detector_takes_are_refused(value, pixels, text):
    with pytest.raises(UserError, match=text):
        images_to_read(value, None, pixels)


def test_pictures_become_grey_for_a_detector_of_one_channel():
    picture = Image.fromarray(COLOURS)
    for value in (picture, encoded(picture)):
        assert images_to_read(value, None, PixelFormat(1))[0].decode().shape == (5, 7, 1)
