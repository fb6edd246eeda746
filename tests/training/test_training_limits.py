"""When a training ends, and that its last epoch is always validated."""

import pytest
import torch
from training_fakes import TinyMetric, batches, cpu_trainer, tiny_module

from detkit.registry import get
from detkit.runs.metrics_logger import read_metrics
from detkit.schedules.cosine import Cosine
from detkit.schedules.multi_step import MultiStep
from detkit.training import training_limits
from detkit.training.callbacks.checkpoints import Checkpoints
from detkit.training.fit import fit
from detkit.training.training_limits import TrainingLength, length_of


def train(folder, resume=None, schedule=None, count=4, **settings):
    """A training of `count` batches an epoch; returns its trainer."""
    settings = {"log_every": 1, "callbacks": [Checkpoints(run_folder=str(folder))], **settings}
    trainer = cpu_trainer(folder, **settings)
    module = tiny_module(schedule=schedule or Cosine())
    fit(module, trainer, batches(count), batches(2), resume=resume)
    return trainer


def validated_steps(folder):
    return [int(r["step"]) for r in read_metrics(folder / "metrics.csv") if r["val/AP"]]


def rates(folder):
    rows = read_metrics(folder / "metrics.csv")
    return [float(row["learning_rate"]) for row in rows if row.get("learning_rate")]


def last(folder):
    return str(folder / "checkpoints" / "last.ckpt")


# pain 47
@pytest.mark.parametrize(
    ("epochs", "every", "steps"), [(3, 2, [7, 11]), (2, 4, [7]), (4, 2, [7, 15])]
)
def test_the_last_epoch_is_validated_whatever_the_interval(tmp_path, epochs, every, steps):
    train(tmp_path, max_epochs=epochs, validate_every=every)
    assert validated_steps(tmp_path) == steps


def test_a_resumed_run_validates_its_last_epoch(tmp_path):
    train(tmp_path, max_epochs=1, validate_every=3)
    train(tmp_path, last(tmp_path), max_epochs=2, validate_every=3)
    assert validated_steps(tmp_path) == [3, 7]


def test_steps_end_a_training_within_an_epoch_with_a_validation_and_a_low_rate(tmp_path):
    trainer = train(tmp_path, max_epochs=None, max_steps=6, validate_every=3)
    assert trainer.global_step == 6
    assert validated_steps(tmp_path) == [5]
    one_wave = [0.1 * Cosine(warmup_steps=0)(step, 6) for step in range(6)]
    assert rates(tmp_path) == pytest.approx(one_wave)


def test_steps_count_optimizer_steps(tmp_path):
    trainer = train(tmp_path, max_epochs=None, max_steps=3, accumulate_grad_batches=2)
    assert trainer.global_step == 3
    assert length_of(trainer).epochs(trainer) == 2


def test_the_first_limit_ends_the_training(tmp_path):
    assert train(tmp_path / "a", max_epochs=1, max_steps=6).global_step == 4
    assert train(tmp_path / "b", max_epochs=3, max_steps=6).global_step == 6


def test_a_training_that_reached_its_steps_resumes_only_for_more(tmp_path):
    train(tmp_path, max_epochs=None, max_steps=6)
    assert train(tmp_path, last(tmp_path), max_epochs=None, max_steps=6).global_step == 6
    assert train(tmp_path, last(tmp_path), max_epochs=None, max_steps=11).global_step == 11
    assert [int(row["step"]) for row in read_metrics(tmp_path / "metrics.csv")][-2:] == [10, 10]


class Clock:
    """A clock that advances with each look."""

    def __init__(self, monkeypatch, seconds):
        self.now, self.seconds = 0.0, seconds
        monkeypatch.setattr(training_limits.time, "monotonic", self)

    def __call__(self):
        self.now += self.seconds
        return self.now


# pain 47
@pytest.mark.parametrize("schedule", [Cosine(), MultiStep(milestones=(0.5,))])
def test_minutes_end_a_training_with_a_validation_and_a_low_rate(tmp_path, monkeypatch, schedule):
    Clock(monkeypatch, 0.2)
    trainer = train(
        tmp_path, max_epochs=None, max_minutes=0.5, schedule=schedule, validate_every=99
    )
    assert trainer.global_step > 8
    assert validated_steps(tmp_path) == [trainer.global_step - 1]
    assert rates(tmp_path)[0] < rates(tmp_path)[2]
    assert rates(tmp_path)[-1] < 0.2 * max(rates(tmp_path))


def test_minutes_of_earlier_starts_count(tmp_path, monkeypatch):
    Clock(monkeypatch, 0.2)
    first = train(tmp_path, max_epochs=1, max_minutes=0.5)
    used = torch.load(last(tmp_path), weights_only=True)["callbacks"]["TrainingLength"]["seconds"]
    assert 0 < used < 30
    again = train(tmp_path, last(tmp_path), max_epochs=None, max_minutes=0.5)
    assert length_of(again).time_share() == 1.0
    assert (
        train(tmp_path, last(tmp_path), max_epochs=None, max_minutes=0.5).global_step
        == again.global_step
    )
    assert again.global_step > first.global_step == 4


def test_a_run_without_minutes_keeps_no_time_in_its_checkpoint():
    assert TrainingLength(max_epochs=3).state_dict() == {}


@pytest.mark.parametrize("name", ["cosine", "multi_step", "constant"])
def test_a_schedule_by_time_warms_up_by_steps_and_ends_with_the_time(name, monkeypatch):
    schedule = get("scheduler", name)(warmup_steps=5, warmup_factor=0.1)
    by_time = TrainingLength(max_minutes=1.0)
    trainer = cpu_trainer_like()
    factors = []
    for step in range(100):
        by_time._time_share = step / 100
        total = by_time.total_steps(trainer, step)
        factors.append(schedule(step, total))
    assert factors[:3] == pytest.approx([0.1, 0.1 + 0.9 / 5, 0.1 + 1.8 / 5])
    assert factors[5] == pytest.approx(1.0, abs=0.01)
    assert factors[-1] <= {"cosine": 0.01, "multi_step": 0.0101, "constant": 1.0}[name]


def cpu_trainer_like():
    class Trainer:
        num_training_batches = 10
        accumulate_grad_batches = 1

    return Trainer()


# pain 47
def test_epochs_in_which_every_ap_is_nan_leave_no_best(tmp_path):
    class NoObjects(TinyMetric):
        def compute(self):
            return {"AP": float("nan"), "AP50": float("nan")}

    trainer = cpu_trainer(tmp_path, callbacks=[Checkpoints(run_folder=str(tmp_path))])
    fit(tiny_module(metric=NoObjects()), trainer, batches(2), batches(1))
    assert [file.name for file in (tmp_path / "checkpoints").iterdir()] == ["last.ckpt"]
