import os

import pytest
import torch
from torch import nn

from detkit.errors import UserError
from detkit.inference.checkpoint import find_checkpoint, load_weights, read_checkpoint

RECORD = {"config": {"seed": 1}, "class_names": ["cat"], "category_ids": [7], "version": "0"}


class Runs:
    """Runs code where it is unpickled."""

    def __reduce__(self):
        return (os.mkdir, ("ran",))


def write(path, **changes):
    weights = {f"detector.{name}": value for name, value in nn.Linear(2, 1).state_dict().items()}
    content = {"state_dict": {**weights, "other": torch.ones(1)}, "detkit": RECORD, "epoch": 4}
    torch.save({**content, **changes}, path)
    return path


def test_what_was_written_is_read(tmp_path):
    checkpoint = read_checkpoint(write(tmp_path / "a.ckpt"))
    assert (checkpoint.class_names, checkpoint.category_ids) == (["cat"], [7])
    assert checkpoint.config == {"seed": 1}
    assert checkpoint.epoch == 5
    assert sorted(checkpoint.weights) == ["bias", "weight"]
    model = nn.Linear(2, 1)
    load_weights(model, checkpoint)
    assert torch.equal(model.weight, checkpoint.weights["weight"])


def test_code_in_a_checkpoint_is_not_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(
        UserError, match=r"Python objects \(posix.mkdir\), which detkit never loads"
    ):
        read_checkpoint(write(tmp_path / "a.ckpt", extra=Runs()))
    assert not (tmp_path / "ran").exists()


def test_a_file_that_was_cut_short_is_called_damaged(tmp_path):
    path = write(tmp_path / "a.ckpt")
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(UserError, match="damaged or cut short"):
        read_checkpoint(path)


def test_a_checkpoint_of_another_program_is_refused(tmp_path):
    torch.save({"model": torch.ones(1)}, tmp_path / "a.ckpt")
    with pytest.raises(UserError, match="was not written by detkit"):
        read_checkpoint(tmp_path / "a.ckpt")


def test_weights_that_do_not_fit_are_named(tmp_path):
    checkpoint = read_checkpoint(write(tmp_path / "a.ckpt"))
    with pytest.raises(UserError, match=r"1 of another shape \(weight"):
        load_weights(nn.Linear(3, 1), checkpoint)
    with pytest.raises(UserError, match=r"1 missing \(0\.weight.*2 unused \(bias, weight"):
        load_weights(nn.Sequential(nn.Linear(2, 1, bias=False)), checkpoint)


@pytest.mark.parametrize(("prefer", "name"), [("best", "best.ckpt"), ("last", "last.ckpt")])
def test_a_run_folder_stands_for_its_checkpoint(tmp_path, prefer, name):
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    for file in ("best.ckpt", "last.ckpt"):
        (folder / file).touch()
    assert find_checkpoint(str(tmp_path), prefer) == folder / name
    assert find_checkpoint(str(folder), prefer) == folder / name
    (folder / name).unlink()
    assert find_checkpoint(str(tmp_path), prefer).name != name


def test_a_place_without_a_checkpoint(tmp_path):
    with pytest.raises(UserError, match=r"holds no checkpoints/best\.ckpt"):
        find_checkpoint(str(tmp_path))
    with pytest.raises(UserError, match="no such file or folder"):
        find_checkpoint(str(tmp_path / "none"))
