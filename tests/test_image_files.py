"""Recognise image files by suffix or content, never in a hidden folder."""

import pytest
from PIL import Image

from detkit.image_files import files_below, images_among, is_image, is_image_file


@pytest.fixture
def photograph(tmp_path):
    """Write a small image under any name."""

    def write(name, kind="JPEG"):
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 6)).save(file, format=kind)
        return file

    return write


# pain 33
@pytest.mark.parametrize("name", ["a.JPG", "a.jfif", "a.jp2", "a.avif", "a.HEIC", "a.jxl", "a.cr2"])
def test_photographs_are_images_whether_or_not_they_can_be_read(tmp_path, name):
    assert is_image(tmp_path / name)


@pytest.mark.parametrize("name", ["._a.jpg", ".a.jpg", "a.txt", "a.jpg.txt"])
def test_hidden_and_other_files_are_no_images(tmp_path, name):
    assert not is_image(tmp_path / name)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP", "WEBP", "TIFF", "GIF", "JPEG2000"])
def test_a_file_without_a_suffix_is_an_image_by_its_content(photograph, kind):
    assert is_image_file(photograph("0001", kind))


@pytest.mark.parametrize("content", [b"", b"BMW and text", b"all: test"])
def test_a_text_without_a_suffix_is_no_image(tmp_path, content):
    (tmp_path / "LICENSE").write_bytes(content)
    assert not is_image_file(tmp_path / "LICENSE")


# pain 33
@pytest.mark.parametrize("folder", [".ipynb_checkpoints", ".git", "__MACOSX", "@eaDir", "x/.y"])
def test_hidden_folders_are_never_read(photograph, tmp_path, folder):
    photograph("a.jpg")
    photograph(f"{folder}/a.jpg")
    photograph("._a.jpg")
    assert list(files_below(tmp_path)) == [tmp_path / "a.jpg"]


def test_a_data_set_may_lie_in_a_hidden_folder(photograph, tmp_path):
    photograph(".cache/data/a.jpg")
    assert [file.name for file in files_below(tmp_path / ".cache" / "data")] == ["a.jpg"]


def test_an_original_beside_its_converted_copy_is_the_same_photograph(photograph):
    copy, raw, alone = photograph("a.jpg"), photograph("a.cr2"), photograph("b.heic")
    assert images_among([raw, alone, copy]) == [copy, alone]
