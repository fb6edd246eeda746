from pathlib import Path

import pytest

from detkit.errors import UserError
from detkit.inference.sources import find_images, output_names


def make(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_a_folder_gives_its_images_sorted_with_numbers_by_value(tmp_path):
    make(tmp_path, "b 10.JPG", "b 9.jpg", "ä ü.png", "notes.txt", ".hidden.jpg", "a/c.webp")
    make(tmp_path, ".cache/d.jpg", "__MACOSX/a/c.webp", "._e.jpg")
    found = [path.relative_to(tmp_path).as_posix() for path in find_images(str(tmp_path))]
    assert found == ["a/c.webp", "b 9.jpg", "b 10.JPG", "ä ü.png"]


def test_a_pattern_gives_the_images_that_fit(tmp_path):
    make(tmp_path, "x/a.jpg", "x/a.txt", "y/a.jpg", "y/b.png", "z.jpg")
    found = find_images(str(tmp_path / "**" / "a.*"))
    assert [path.parent.name for path in found] == ["x", "y"]
    assert {path.suffix for path in found} == {".jpg"}


def test_a_file_is_taken_by_its_name_even_when_that_looks_like_a_pattern(tmp_path):
    make(tmp_path, "a[1].jpg", "a1.jpg", "photo.raw")
    assert find_images(str(tmp_path / "a[1].jpg")) == [tmp_path / "a[1].jpg"]
    assert find_images(str(tmp_path / "photo.raw")) == [tmp_path / "photo.raw"]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("empty", r"source=.*empty: the folder holds no files\. Give"),
        ("texts", "the folder holds 1 file, none of them an image"),
        ("missing.jpg", "no such file or folder; as a pattern it fits no files"),
        ("texts/*", r"as a pattern it fits 1 file, none.*such as 'photos/\*\.jpg'"),
    ],
)
def test_message_without_matches_lists_the_searched_names(tmp_path, source, message):
    (tmp_path / "empty").mkdir()
    make(tmp_path, "texts/a.txt")
    with pytest.raises(UserError, match=message):
        find_images(str(tmp_path / source))


def test_output_names_are_unique():
    paths = [Path(p) for p in ("x/a.jpg", "y/a.png", "a-2.jpg", "A.jpg", "x.y.jpg")]
    names = output_names(paths)
    assert names == ["a.png", "a-2.png", "a-2-2.png", "A-3.png", "x.y.png"]
    assert len({name.casefold() for name in names}) == 5
