"""Links, permissions and names, whatever the format."""

import os
import shutil
import tempfile
from pathlib import Path

import pytest

from detkit.data.readers.auto import AutoReader
from detkit.data.readers.folder_checks import image_files, lines_of
from detkit.errors import DataError


def test_links_to_folders_are_followed_and_circles_are_not(tmp_path, pictures):
    pictures(tmp_path / "elsewhere" / "a.jpg")
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "linked").symlink_to(tmp_path / "elsewhere")
    (folder / "again").symlink_to(folder)
    (tmp_path / "elsewhere" / "up").symlink_to(folder)
    assert [file.name for file in image_files(folder)] == ["a.jpg"]


def test_a_link_that_leads_nowhere_is_left_out_and_named(yolo):
    (yolo / "images/train/x.jpg").symlink_to("gone.jpg")
    (yolo / "images/train/y.jpg").symlink_to("y.jpg")
    (yolo / "images/train/z.jpg").mkdir()
    index = AutoReader().read(yolo, "train")
    assert len(index) == 2
    assert index.dropped == [
        "1 image (link to a missing file): images/train/x.jpg",
        "1 image (link that leads in a circle): images/train/y.jpg",
    ]


@pytest.mark.parametrize("fixture", ["coco", "voc", "yolo"])
def test_a_dangling_folder_link_is_no_folder(tmp_path, fixture, request):
    request.getfixturevalue(fixture)
    (tmp_path / "gone").symlink_to(tmp_path / "nothing")
    with pytest.raises(DataError, match=r"there is no folder '.*gone'"):
        AutoReader().splits(tmp_path / "gone")


@pytest.fixture
def stranger():
    """A folder without permissions, accessed as another user."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    (folder / "data").mkdir(mode=0o700)
    (folder / "data" / "a.json").write_text("{}")
    if os.geteuid() == 0:
        os.seteuid(65534)
    else:
        (folder / "data").chmod(0)
    yield folder
    if os.getuid() == 0:
        os.seteuid(0)
    (folder / "data").chmod(0o700)
    shutil.rmtree(folder)


def test_a_folder_without_permission_says_so(stranger):
    with pytest.raises(DataError, match=r"data' may not be read by this user.*chmod -R u\+rX"):
        AutoReader().splits(stranger / "data")
    with pytest.raises(DataError, match=r"may not be read by this user"):
        AutoReader().splits(stranger / "data" / "inner")


@pytest.mark.parametrize(("content", "lines"), [
    (b"a\r\nb\r\n", ["a", "b"]),
    (b"\xef\xbb\xbfa\n\n  b  ", ["a", "b"]),
    ("a\u2028b\n".encode(), ["a\u2028b"]),
])  # fmt: skip
def test_lines_of_a_list(tmp_path, content, lines):
    (tmp_path / "list.txt").write_bytes(content)
    assert lines_of(tmp_path / "list.txt") == lines


def test_names_that_are_not_utf8_are_read(tmp_path, pictures):
    pictures(tmp_path / "images" / "train" / "a.jpg")
    odd = os.fsdecode(b"\xe9.jpg")
    (tmp_path / "images/train/a.jpg").rename(tmp_path / "images/train" / odd)
    (tmp_path / "labels" / "train").mkdir(parents=True)
    (tmp_path / "labels" / "train" / os.fsdecode(b"\xe9.txt")).write_text("0 .5 .5 1 1")
    (tmp_path / "data.yaml").write_text("names: [dog]")
    index = AutoReader().read(tmp_path, "train")
    assert index.path(0).name == odd
    assert len(index.boxes) == 1
