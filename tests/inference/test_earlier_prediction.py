"""A new prediction removes the files of an earlier one, and nothing else."""

import json

import pytest

from detkit.inference.earlier_prediction import clear_earlier


def files(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def write(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def write_summary(folder, images, final=()):
    summary = {"image_files": images, "final_files": list(final)}
    (folder / "prediction.json").write_text(json.dumps(summary))


# pain 48
def test_only_files_of_an_earlier_prediction_are_removed(tmp_path):
    write(tmp_path, "a.png", "b.png", "mine.png", "detections.json", "detections.csv")
    write_summary(tmp_path, ["a.png", "b.png"], ["detections.json"])
    assert clear_earlier(tmp_path, ["b", "c"]) == 1
    assert files(tmp_path) == ["detections.csv", "mine.png"]


def test_folders_that_become_empty_are_removed(tmp_path):
    write(tmp_path, "labels/a.txt", "crops/cat/a-1.png", "crops/dog/mine.png")
    write_summary(tmp_path, ["labels/a.txt", "crops/cat/a-1.png"])
    assert clear_earlier(tmp_path, []) == 2
    assert files(tmp_path) == ["crops", "crops/dog", "crops/dog/mine.png"]


def test_the_list_of_an_older_detkit_is_read(tmp_path):
    write(tmp_path, "a.png", "b.png", "mine.png", "detections.json")
    (tmp_path / "pictures.json").write_text(json.dumps(["a.png", "b.png"]))
    assert clear_earlier(tmp_path, ["b", "c"]) == 1
    assert files(tmp_path) == ["mine.png"]


def test_an_older_detkit_left_only_its_detections(tmp_path):
    rows = [
        {"file_name": "photos/one.jpg"},
        {"file_name": "photos/one.jpg"},
        {"file_name": "ONE.png"},
    ]
    (tmp_path / "detections.json").write_text(json.dumps(rows))
    write(tmp_path, "one.png", "ONE-2.png", "two.png")
    assert clear_earlier(tmp_path, ["new"]) == 2
    assert files(tmp_path) == ["two.png"]


@pytest.mark.parametrize("name", ["../outside.png", "sub/inside.png", "notes.txt", 3])
def test_the_list_of_an_older_detkit_cannot_name_other_files(tmp_path, name):
    output = tmp_path / "output"
    write(tmp_path, "outside.png", "output/sub/inside.png", "output/notes.txt")
    (output / "pictures.json").write_text(json.dumps([name]))
    assert clear_earlier(output, []) == 0
    assert (tmp_path / "outside.png").exists()
    assert (output / "sub" / "inside.png").exists()
    assert (output / "notes.txt").exists()


@pytest.mark.parametrize("name", ["../outside.png", "link/outside.png", "sub/../../outside.png", 3])
def test_a_list_cannot_name_a_file_outside_the_folder(tmp_path, name):
    write(tmp_path, "outside.png", "output/sub/inside.png")
    (tmp_path / "output/link").symlink_to(tmp_path)
    write_summary(tmp_path / "output", [name])
    assert clear_earlier(tmp_path / "output", []) == 0
    assert (tmp_path / "outside.png").exists()


@pytest.mark.parametrize("name", ["pictures.json", "prediction.json"])
def test_a_damaged_list_removes_no_picture(tmp_path, name):
    (tmp_path / name).write_text("{")
    write(tmp_path, "a.png")
    assert clear_earlier(tmp_path, ["b"]) == 0
    assert (tmp_path / "a.png").exists()
