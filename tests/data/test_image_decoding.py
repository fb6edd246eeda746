from functools import partial

import numpy as np
import pytest
import torch
from PIL import Image

from detkit.data.image_decoding import decode
from detkit.data.single_image import read_image
from detkit.data.transforms.resizing import ResizeExact
from detkit.errors import DataError
from detkit.pixels.image_decoding import UnreadableImageError, read_size


def save(path, array, mode=None, **options):
    Image.fromarray(np.array(array, dtype=np.uint8)).convert(mode or "RGB").save(path, **options)
    return path


@pytest.mark.parametrize("mode", ["RGB", "L", "P", "RGBA", "LA", "1"])
def test_every_mode_becomes_rgb(tmp_path, mode):
    path = save(tmp_path / "a.png", np.full((4, 6, 3), 255), mode)
    image = decode(path)
    assert (image.shape, image.dtype) == ((3, 4, 6), torch.uint8)
    assert image.eq(255).all()


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
@pytest.mark.parametrize("orientation", range(1, 9))
# pain 23
def test_orientation_is_applied(tmp_path, suffix, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    pixels = np.zeros((16, 32, 3), dtype=np.uint8)
    pixels[:8, :16] = 255  # the stored top left is white; where it is seen follows from the tag
    path = save(tmp_path / f"a{suffix}", pixels, exif=exif)
    image = decode(path)
    seen = {1: (0, 0), 2: (0, 1), 3: (1, 1), 4: (1, 0), 5: (0, 0), 6: (0, 1), 7: (1, 1), 8: (1, 0)}
    row, column = seen[orientation]
    height, width = image.shape[-2:]
    assert (height, width) == ((16, 32) if orientation < 5 else (32, 16)) == read_size(path)
    assert image[0, row * (height - 1), column * (width - 1)] > 250
    assert image[0, (1 - row) * (height - 1), (1 - column) * (width - 1)] < 5


def test_jpeg_is_decoded_as_pil_does(tmp_path, pictures):
    path = pictures(tmp_path / "a.jpg", 33, 21)
    expected = torch.from_numpy(np.array(Image.open(path))).permute(2, 0, 1)
    assert (decode(path).int() - expected.int()).abs().max() <= 1


def test_cmyk_becomes_the_visible_colours(tmp_path):
    red = np.zeros((8, 8, 3))
    red[..., 0] = 255
    path = save(tmp_path / "a.jpg", red, "CMYK", quality=95)
    assert decode(path)[:, 4, 4].tolist() == pytest.approx([255, 0, 0], abs=6)


def test_deep_grey_is_stretched_to_its_own_range(tmp_path):
    values = np.array([[1000, 1500], [2000, 3000]], dtype=np.uint16)
    Image.fromarray(values).save(tmp_path / "a.png")
    assert decode(tmp_path / "a.png")[2].tolist() == [[0, 64], [128, 255]]
    Image.fromarray(np.full((2, 2), 700, dtype=np.uint16)).save(tmp_path / "b.png")
    assert decode(tmp_path / "b.png").eq(0).all()


@pytest.mark.parametrize("suffix", [".jpg", ".png"])
def test_truncated_files_are_unreadable(tmp_path, pictures, suffix):
    path = pictures(tmp_path / f"a{suffix}", 64, 64)
    path.write_bytes(path.read_bytes()[:700])
    assert read_size(path) == (64, 64)  # the header is whole
    with pytest.raises(UnreadableImageError, match=r"a\.(jpg|png)"):
        decode(path)


def test_missing_files_and_other_files_are_unreadable(tmp_path):
    (tmp_path / "a.jpg").write_bytes(b"text")
    with pytest.raises(UnreadableImageError, match="not an image"):
        read_size(tmp_path / "a.jpg")
    with pytest.raises(UnreadableImageError, match="missing file"):
        decode(tmp_path / "b.jpg")


def test_loose_images_pass_the_transforms(tmp_path, pictures):
    path = pictures(tmp_path / "a.jpg", 40, 30)
    size = {"size": ResizeExact(height=15, width=10)}
    sample = read_image(partial(decode, path), "a.jpg", transforms=size, image_id=4)
    assert sample.size == (15, 10)
    assert (sample.original_size, sample.image_id, len(sample.target)) == ((30, 40), 4, 0)
    assert sample.to_image.diagonal().tolist() == [0.25, 0.5, 1]


def test_a_loose_file_other_than_an_image_is_an_error(tmp_path):
    path = tmp_path / "a.jpg"
    path.write_bytes(b"text")
    with pytest.raises(DataError, match=r"cannot read the image '.*a.jpg'"):
        read_image(partial(decode, path), f"the image '{path}'")
