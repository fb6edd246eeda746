import importlib.util

import pytest
from training_fakes import batches, cpu_trainer, tiny_module

from detkit.errors import UserError
from detkit.training.fit import fit
from detkit.training.loggers import TensorBoard, Wandb


def test_wandb_is_offline_unless_asked(tmp_path):
    logger = Wandb(run_folder=str(tmp_path))
    assert logger._wandb_init["mode"] == "offline"
    assert logger.save_dir == str(tmp_path)


def test_wandb_run_goes_on_when_resumed(tmp_path):
    # pain 6
    first, resumed = (Wandb(run_folder=str(tmp_path)) for _ in range(2))
    other = Wandb(run_folder=str(tmp_path / "other"))
    assert first.version == resumed.version
    assert first.version != other.version
    assert Wandb(run_folder=str(tmp_path), run_id="mine").version == "mine"


def test_wandb_is_finished_even_when_training_fails(tmp_path):
    class Failing:
        def __len__(self):
            return 1

        def __iter__(self):
            raise OSError("disk gone")

    logger = Wandb(run_folder=str(tmp_path), mode="disabled")
    with pytest.raises(OSError, match="disk gone"):
        fit(tiny_module(), cpu_trainer(tmp_path, loggers=[logger]), Failing())
    assert logger._experiment is None


def test_disabled_wandb_trains_and_closes(tmp_path):
    logger = Wandb(run_folder=str(tmp_path), mode="disabled")
    fit(tiny_module(), cpu_trainer(tmp_path, max_epochs=1, loggers=[logger]), batches(2))
    assert logger._experiment is None


def test_tensorboard_writes_into_the_run_folder(tmp_path):
    pytest.importorskip("tensorboard", reason="an extra of detkit")
    logger = TensorBoard(run_folder=str(tmp_path))
    fit(tiny_module(), cpu_trainer(tmp_path, max_epochs=1, loggers=[logger]), batches(2))
    assert [path.parent.name for path in tmp_path.rglob("events.*")] == ["tensorboard"]


@pytest.mark.parametrize(
    ("logger", "hint"), [(TensorBoard, r"detkit\[tensorboard\]"), (Wandb, "wandb")]
)
def test_missing_package_is_named_with_its_command(tmp_path, monkeypatch, logger, hint):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=f"not installed: run pip install '{hint}'"):
        logger(run_folder=str(tmp_path))
