"""Checkpoints and early stop."""

import math

import pytest
import torch
from training_fakes import Batches, TinyMetric, batches, cpu_trainer, tiny_module

from detkit.training.callbacks.checkpoints import Checkpoints
from detkit.training.callbacks.early_stop import EarlyStop
from detkit.training.fit import fit


class Scripted(TinyMetric):
    """Gives these APs, validation by validation."""

    def __init__(self, *scores):
        super().__init__()
        self.coming = list(scores)

    def compute(self):
        score = self.coming.pop(0)
        return {"AP": score, "AP50": score}


def train(folder, callbacks, scores, **settings):
    module = tiny_module(metric=Scripted(*scores))
    settings = {"max_epochs": len(scores), **settings}
    trainer = cpu_trainer(folder, callbacks=callbacks, **settings)
    fit(module, trainer, batches(2), Batches(3))
    return trainer


def saved_epochs(folder):
    names = ("best", "last")
    return [
        torch.load(folder / "checkpoints" / f"{name}.ckpt", weights_only=True)["epoch"]
        for name in names
    ]


# pain 47
@pytest.mark.parametrize(
    ("scores", "best"),
    [([0.1, 0.3, 0.2], 1), ([math.nan, 0.0, 0.0], 2), ([0.2, 0.2, math.nan], 1)],
)
def test_best_and_last_are_saved(tmp_path, scores, best):
    train(tmp_path, [Checkpoints(run_folder=str(tmp_path))], scores)
    assert saved_epochs(tmp_path) == [best, 2]
    names = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    assert names == ["best.ckpt", "last.ckpt"]


def test_best_of_a_resumed_run_is_compared_with_the_one_before(tmp_path):
    first = Checkpoints(run_folder=str(tmp_path))
    train(tmp_path, [first], [0.5])
    resumed = Checkpoints(run_folder=str(tmp_path))
    module = tiny_module(metric=Scripted(0.4, 0.6))
    trainer = cpu_trainer(tmp_path, callbacks=[resumed], max_epochs=3)
    fit(module, trainer, batches(2), Batches(3), resume=str(first.last_path))
    assert saved_epochs(tmp_path) == [2, 2]
    assert (resumed.best_score, resumed.best_epoch) == (pytest.approx(0.6), 2)


def test_epochs_without_validation_save_the_last_state_only(tmp_path):
    checkpoints = Checkpoints(run_folder=str(tmp_path))
    train(tmp_path, [checkpoints], [0.5, 0.4], max_epochs=4, validate_every=2)
    assert saved_epochs(tmp_path) == [1, 3]


def test_a_number_that_is_not_measured_is_named_once(tmp_path, caplog):
    checkpoints = Checkpoints(run_folder=str(tmp_path), monitor="val/mask_AP")
    train(tmp_path, [checkpoints], [0.5, 0.4])
    warning = "callbacks.checkpoints.monitor=val/mask_AP is none of the numbers"
    assert caplog.text.count(warning) == 1
    assert "(val/AP" in caplog.text
    assert not checkpoints.best_path.exists()


def test_seldom_saves_still_save_the_end(tmp_path):
    module = tiny_module()
    checkpoints = Checkpoints(run_folder=str(tmp_path), every=5)
    fit(module, cpu_trainer(tmp_path, callbacks=[checkpoints], max_epochs=2), batches(2))
    assert torch.load(checkpoints.last_path, weights_only=True)["epoch"] == 1
    assert not checkpoints.best_path.exists()


def test_failing_save_keeps_the_file_before(tmp_path, monkeypatch):
    checkpoints = Checkpoints(run_folder=str(tmp_path))
    train(tmp_path, [checkpoints], [0.5])
    before = checkpoints.last_path.read_bytes()

    def cut_off(checkpoint, buffer):
        raise OSError("disk full")

    monkeypatch.setattr(torch, "save", cut_off)
    with pytest.raises(OSError, match="disk full"):
        train(tmp_path, [Checkpoints(run_folder=str(tmp_path))], [0.9])
    assert checkpoints.last_path.read_bytes() == before
    assert checkpoints.best_path.read_bytes() == before


@pytest.mark.parametrize(
    ("scores", "epochs"),
    [
        ([0.5, 0.5, 0.5, 0.9, 0.9], 3),  # two validations without improvement
        ([0.1, 0.2, 0.3, 0.4, 0.5], 5),
        ([0.5, math.nan, math.nan, 0.9, 0.9], 3),
        ([0.50, 0.505, 0.511, 0.512, 0.513], 5),  # 0.511 is 0.01 above 0.50
    ],
)
def test_early_stop_waits_for_an_improvement(tmp_path, scores, epochs):
    callback = EarlyStop(patience=2, minimum_improvement=0.01)
    assert train(tmp_path, [callback], scores).current_epoch == epochs


def resumed(checkpoints, patience, scores):
    callbacks = [checkpoints, EarlyStop(patience=patience)]
    trainer = cpu_trainer(checkpoints.last_path.parents[1], callbacks=callbacks, max_epochs=9)
    module = tiny_module(metric=Scripted(*scores))
    fit(module, trainer, batches(2), Batches(3), resume=str(checkpoints.last_path))
    return trainer


# pain 67
def test_a_run_that_stopped_early_resumes_only_with_more_patience(tmp_path, caplog):
    caplog.set_level("INFO", logger="detkit.training")
    checkpoints = Checkpoints(run_folder=str(tmp_path))
    train(tmp_path, [checkpoints, EarlyStop(patience=1)], [0.5, 0.4, 0.3])
    before = checkpoints.last_path.read_bytes()
    assert resumed(checkpoints, 1, [0.4]).current_epoch == 2
    assert "it stopped early, after 1 validation without improvement" in caplog.text
    assert checkpoints.last_path.read_bytes() == before
    assert resumed(checkpoints, 2, [0.4]).current_epoch == 3


def test_early_stop_without_a_valid_score_says_so(tmp_path, caplog):
    caplog.set_level("INFO", logger="detkit.training")
    train(tmp_path, [EarlyStop(patience=2)], [math.nan] * 3)
    assert "stopping early: val/AP has not had a valid value in 2 validations" in caplog.text


def test_early_stop_continues_counting_after_a_resume(tmp_path):
    checkpoints = Checkpoints(run_folder=str(tmp_path))
    train(tmp_path, [checkpoints, EarlyStop(patience=2)], [0.5, 0.4])
    module = tiny_module(metric=Scripted(0.4, 0.4))
    callbacks = [checkpoints, EarlyStop(patience=2)]
    trainer = cpu_trainer(tmp_path, callbacks=callbacks, max_epochs=4)
    fit(module, trainer, batches(2), Batches(3), resume=str(checkpoints.last_path))
    assert trainer.current_epoch == 3


# pain 67
def test_early_stop_resumes_the_count_of_an_older_checkpoint(tmp_path):
    callback = EarlyStop(patience=3)
    callback.load_state_dict({"best": 0.5, "waited": 2})
    assert train(tmp_path, [callback], [0.5, 0.9]).current_epoch == 1
    assert callback.state_key == "EarlyStop"  # as in those checkpoints
