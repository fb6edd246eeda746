"""A new prediction removes the pictures of an earlier one."""

import json

import pytest

from detkit.inference.earlier_pictures import clear_earlier


def files(folder):
    return sorted(file.name for file in folder.iterdir() if file.suffix == ".png")


def write(folder, *names):
    for name in names:
        (folder / name).touch()


# pain 48
def test_only_files_of_an_earlier_prediction_are_removed(tmp_path):
    assert clear_earlier(tmp_path, ["a.png", "b.png"]) == 0
    write(tmp_path, "a.png", "b.png", "mine.png", "detections.json")
    assert clear_earlier(tmp_path, ["b.png", "c.png"]) == 1
    assert files(tmp_path) == ["mine.png"]
    assert not (tmp_path / "detections.json").exists()


def test_an_older_detkit_left_only_its_detections(tmp_path):
    rows = [
        {"file_name": "photos/one.jpg"},
        {"file_name": "photos/one.jpg"},
        {"file_name": "ONE.png"},
    ]
    (tmp_path / "detections.json").write_text(json.dumps(rows))
    write(tmp_path, "one.png", "ONE-2.png", "two.png")
    assert clear_earlier(tmp_path, ["new.png"]) == 2
    assert files(tmp_path) == ["two.png"]


@pytest.mark.parametrize("name", ["../outside.png", "sub/inside.png", "notes.txt", 3])
def test_a_list_cannot_name_other_files(tmp_path, name):
    output = tmp_path / "output"
    (output / "sub").mkdir(parents=True)
    write(tmp_path, "outside.png", "output/sub/inside.png", "output/notes.txt")
    (output / "pictures.json").write_text(json.dumps([name]))
    assert clear_earlier(output, []) == 0
    assert (tmp_path / "outside.png").exists()
    assert (output / "sub" / "inside.png").exists()
    assert (output / "notes.txt").exists()


def test_a_damaged_list_removes_nothing(tmp_path):
    (tmp_path / "pictures.json").write_text("{")
    write(tmp_path, "a.png")
    assert clear_earlier(tmp_path, ["b.png"]) == 0
    assert files(tmp_path) == ["a.png"]
