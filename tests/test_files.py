import os
from pathlib import Path

import pytest

from detkit.files import Lock, display_path, is_below, lock, replacing, write_atomically


def _fail_while_writing(path, error, inside=""):
    with replacing(path) as part:
        if inside:
            part.mkdir()
        (part / inside).write_text("half")
        raise error


# pain 74
def test_a_file_is_replaced_in_one_step(tmp_path):
    file = tmp_path / "a.json"
    file.write_text("old")
    with replacing(file) as part:
        part.write_text("new")
        assert file.read_text() == "old"
    assert file.read_text() == "new"
    assert os.listdir(tmp_path) == ["a.json"]


# pain 74
def test_a_failed_write_keeps_the_old_file_and_leaves_no_rest(tmp_path):
    file = tmp_path / "a.json"
    write_atomically(file, "old")
    with pytest.raises(KeyboardInterrupt):
        _fail_while_writing(file, KeyboardInterrupt())
    assert file.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.json"]


# pain 74
def test_a_folder_appears_whole_or_not_at_all(tmp_path):
    folder = tmp_path / "bundle"
    with pytest.raises(OSError, match="full"):
        _fail_while_writing(folder, OSError("disk full"), inside="weights")
    assert not any(tmp_path.iterdir())


def test_a_text_keeps_its_letters(tmp_path):
    write_atomically(tmp_path / "names.txt", "猫, é")
    assert (tmp_path / "names.txt").read_bytes().decode("utf-8") == "猫, é"


def test_a_second_lock_finds_the_file_in_use(tmp_path):
    with (tmp_path / "lock").open("ab") as first, (tmp_path / "lock").open("ab") as second:
        assert lock(first) is Lock.ACQUIRED
        assert lock(second) is Lock.IN_USE
    with (tmp_path / "lock").open("ab") as third:
        assert lock(third, wait=True) is Lock.ACQUIRED


def test_a_file_system_without_locks_is_reported(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError("no locks available")

    monkeypatch.setattr("fcntl.flock", refuse)
    with (tmp_path / "lock").open("ab") as file:
        assert lock(file) is Lock.UNSUPPORTED


def test_paths_inside_the_working_directory_are_shown_relative(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert display_path(tmp_path / "runs" / "a") == str(Path("runs/a"))
    assert display_path("/elsewhere/b") == "/elsewhere/b"
    assert display_path("runs/a") == "runs/a"


def test_a_link_into_a_folder_counts_as_inside(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "data")
    assert is_below(tmp_path / "link" / "a", tmp_path / "data")
    assert not is_below(tmp_path / "other", tmp_path / "data")
