"""Files with other channels or more than 8 bits become pixels."""

import io

import numpy as np
import pytest
from PIL import Image

from detkit.image_files import images_among
from detkit.pixels.channels import UnfitImageError, decode_image, decode_preview
from detkit.pixels.image_decoding import UnreadableImageError, read_header
from detkit.pixels.numpy_files import read_numpy
from detkit.pixels.pixel_format import RGB8, PixelFormat

PLANES = (np.arange(3 * 4 * 5, dtype=np.uint16) * 1000).reshape(3, 4, 5)
DEEP = PixelFormat(3, (0, 65535))


def saved_stack(path, planes=PLANES):
    first, *others = map(Image.fromarray, planes)
    first.save(path, save_all=True, append_images=others)
    return path


@pytest.fixture
def array(tmp_path):
    """A NumPy file (4, 5, 3) uint16."""
    np.save(tmp_path / "a.npy", PLANES.transpose(1, 2, 0))
    return tmp_path / "a.npy"


def test_a_tiff_stack_and_a_numpy_file_give_the_same_pixels(tmp_path, array):
    stack = decode_image(saved_stack(tmp_path / "a.tif"), DEEP)
    assert np.array_equal(stack, decode_image(array, DEEP))
    np.testing.assert_allclose(stack, PLANES.transpose(1, 2, 0) / 257, rtol=1e-6)


def test_the_header_of_a_numpy_file_holds_its_size(array):
    header = read_header(array)
    assert (header.size, header.stored_size, header.orientation) == ((4, 5), (4, 5), 1)


def test_the_content_of_a_numpy_file_is_read_too(array):
    assert np.array_equal(decode_image(array.read_bytes(), DEEP), decode_image(array, DEEP))


def test_grey_arrays_have_one_channel(tmp_path):
    np.save(tmp_path / "a.npy", np.arange(20, dtype=np.uint8).reshape(4, 5))
    assert decode_image(tmp_path / "a.npy", PixelFormat(1)).shape == (4, 5, 1)
    assert decode_image(tmp_path / "a.npy").shape == (4, 5, 3)


def test_rgb_of_16_bits_keeps_its_precision(tmp_path):
    import cv2

    colours = np.dstack([PLANES[0], PLANES[1], PLANES[2]])
    cv2.imwrite(str(tmp_path / "a.png"), colours[..., ::-1])
    np.testing.assert_allclose(decode_image(tmp_path / "a.png", DEEP), colours / 257, rtol=1e-6)


def test_transparency_can_be_the_fourth_channel():
    rgba = np.arange(80, dtype=np.uint8).reshape(4, 5, 4)
    stream = io.BytesIO()
    Image.fromarray(rgba).save(stream, "PNG")
    assert np.array_equal(decode_image(stream.getvalue(), PixelFormat(4)), rgba)


def test_orientation_turns_any_channels():
    exif = Image.Exif()
    exif[0x0112] = 6
    stream = io.BytesIO()
    Image.fromarray(np.arange(20, dtype=np.uint8).reshape(4, 5)).save(stream, "PNG", exif=exif)
    turned = decode_image(stream.getvalue(), PixelFormat(1))
    assert turned[..., 0].tolist() == np.rot90(np.arange(20).reshape(4, 5), -1).tolist()


def test_a_stack_with_other_channels_is_refused(tmp_path):
    with pytest.raises(UnfitImageError, match=r"has 3 channels, and data.channels is 4"):
        decode_image(saved_stack(tmp_path / "a.tif"), PixelFormat(4, (0, 1)))


def test_pages_of_several_sizes_are_no_stack(tmp_path):
    path = saved_stack(tmp_path / "a.tif", [PLANES[0], PLANES[1, :2]])
    with pytest.raises(UnreadableImageError, match="pages differ in size"):
        decode_image(path, PixelFormat(2, (0, 1)))


@pytest.mark.parametrize(
    "values", [np.zeros(5), np.zeros((2, 2, 2, 2)), np.zeros((0, 4)), np.array([["a"]])]
)
def test_other_arrays_are_no_images(tmp_path, values):
    np.save(tmp_path / "a.npy", values)
    with pytest.raises(UnreadableImageError, match=r"expected numbers \(H, W\) or \(H, W, C\)"):
        read_header(tmp_path / "a.npy")


def test_pickled_objects_are_never_loaded(tmp_path):
    np.save(tmp_path / "a.npy", np.array([[{}]], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match="expected numbers"):
        read_numpy(tmp_path / "a.npy")


def test_a_damaged_numpy_file_is_unreadable(tmp_path, array):
    (tmp_path / "b.npy").write_bytes(array.read_bytes()[:-7])
    with pytest.raises(UnreadableImageError, match="damaged file"):
        decode_image(tmp_path / "b.npy", DEEP)


def test_a_preview_is_8_bit_rgb(array):
    picture = decode_preview(array)
    assert (picture.shape, picture.dtype, picture.max()) == ((4, 5, 3), np.uint8, 255)


def test_8_bit_rgb_is_decoded_as_ever(tmp_path):
    Image.fromarray(PLANES[0].astype(np.int32)).save(tmp_path / "a.tif")
    assert decode_image(tmp_path / "a.tif", RGB8).max() == 255


def test_a_numpy_file_beside_its_image_is_a_cache_of_another_program(tmp_path):
    names = ["a.jpg", "a.npy", "b.npy"]
    assert [p.name for p in images_among(tmp_path / n for n in names)] == ["a.jpg", "b.npy"]
