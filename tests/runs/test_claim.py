"""Two runs that start together get separate folders, or one is refused."""

import threading
from pathlib import Path

import pytest

from detkit.errors import UserError
from detkit.runs.claim import claimed
from detkit.runs.layout import CLAIM

BY_TIME = "2026-11-29_12-00-00_fcos_shapes"


def config(folder, ckpt=None):
    return {"run_folder": str(folder), "ckpt": ckpt}


# pain 48
def test_runs_of_the_same_second_get_separate_folders(tmp_path):
    claimed_folders = []
    ready = threading.Barrier(8)

    def start():
        ready.wait()
        with claimed(config(tmp_path / "runs" / BY_TIME)) as own:
            Path(own["run_folder"], "config.yaml").touch()
            claimed_folders.append(own["run_folder"])

    threads = [threading.Thread(target=start) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    names = [BY_TIME, *(f"{BY_TIME}_{number}" for number in range(2, 9))]
    assert sorted(claimed_folders) == sorted(str(tmp_path / "runs" / name) for name in names)


# pain 48
@pytest.mark.parametrize("ckpt", [None, "run/checkpoints/last.ckpt"])
def test_a_named_folder_belongs_to_the_first(tmp_path, ckpt):
    refused = pytest.raises(UserError, match="another process uses it")
    with claimed(config(tmp_path / "run", ckpt)), refused:
        claimed(config(tmp_path / "run", ckpt)).__enter__()
    with claimed(config(tmp_path / "run", ckpt)) as own:
        assert own["run_folder"] == str(tmp_path / "run")


def test_a_start_that_writes_nothing_leaves_no_folder(tmp_path):
    with claimed(config(tmp_path / "run")):
        assert (tmp_path / "run" / CLAIM).is_file()
    assert not (tmp_path / "run").exists()


def test_a_folder_that_cannot_be_made_names_the_key(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"run_folder=.*file/run: cannot be written"):
        claimed(config(tmp_path / "file" / "run")).__enter__()
