"""The time left of a training, from measurements, and the file that reports it to sweeps."""

import logging
from types import SimpleNamespace

import pytest
from training_fakes import Batches, batches, cpu_trainer, tiny_module

from detkit.runs.progress_file import Status, read_status, write_status
from detkit.training.fit import fit
from detkit.training.pace import Pace, pace_of

IMAGES = [None] * 4  # of a batch


class Clock:
    """A clock that tests move."""

    def __init__(self, monkeypatch):
        self.now = 0.0
        monkeypatch.setattr("detkit.training.pace.time", SimpleNamespace(monotonic=self.read))

    def read(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    return Clock(monkeypatch)


def started(folder, **changes):
    settings = {
        "num_training_batches": 10,
        "max_epochs": 3,
        "check_val_every_n_epoch": 1,
        "accumulate_grad_batches": 1,
        "world_size": 1,
        "current_epoch": 0,
        "is_global_zero": False,
        "should_stop": False,
        "default_root_dir": str(folder),
        "strategy": SimpleNamespace(root_device=SimpleNamespace(type="cpu")),
    }
    trainer = SimpleNamespace(**{**settings, **changes})
    pace = Pace()
    pace._batches = 10
    pace.on_train_epoch_start(trainer, None)
    return pace, trainer


def train(pace, trainer, clock, numbers, seconds):
    for number in numbers:
        clock.now += seconds
        pace.on_train_batch_end(trainer, None, None, IMAGES, number)


def test_the_first_batch_does_not_count(tmp_path, clock):
    pace, trainer = started(tmp_path, check_val_every_n_epoch=99)
    train(pace, trainer, clock, [0], 60.0)
    assert pace.seconds_left(trainer) is None
    train(pace, trainer, clock, [1, 2], 2.0)
    assert pace.seconds_left(trainer) == pytest.approx(27 * 2.0)
    assert pace.images_per_second == pytest.approx(2.0)


def test_validations_count_before_and_after_the_first(tmp_path, clock):
    pace, trainer = started(tmp_path)
    pace.validation_images = 40
    train(pace, trainer, clock, range(10), 2.0)
    guess = 0.5 * 40 * 2.0 / 4
    assert pace.seconds_left(trainer) == pytest.approx(20 * 2.0 + 3 * guess)
    pace.on_validation_start(SimpleNamespace(is_global_zero=False, sanity_checking=False), None)
    clock.now += 6.0
    assert pace.seconds_left(trainer) == pytest.approx(20 * 2.0 + 3 * guess - 6.0)
    trainer.current_epoch = 1
    pace.on_train_epoch_start(trainer, None)
    assert pace.seconds_left(trainer) == pytest.approx(20 * 2.0 + 2 * 6.0)


def test_a_training_states_its_size_device_and_length(tmp_path, caplog):
    with caplog.at_level(logging.INFO, "detkit.run"):
        fit(tiny_module(), cpu_trainer(tmp_path, max_epochs=2), batches(3), Batches(3))
    size, pace = (r.message for r in caplog.records if r.name == "detkit.run")
    assert size.startswith("training: 2 epochs of 3 batches, 6 steps in all, on the CPU (")
    assert pace.endswith(tuple("0123456789"))
    assert " images/s; the training will end in about " in pace


def test_advice_for_a_long_training_on_a_cpu(tmp_path, clock, caplog):
    pace, trainer = started(tmp_path, is_global_zero=True)
    with caplog.at_level(logging.INFO, "detkit.run"):
        train(pace, trainer, clock, range(3), 1200.0)
    assert "the training will end in about 9 h" in caplog.messages[0]
    assert "use a smaller network" in caplog.messages[1]


def test_the_status_file_tells_how_far_a_training_is(tmp_path):
    trainer = cpu_trainer(tmp_path, max_epochs=2)
    fit(tiny_module(), trainer, batches(3))
    assert read_status(tmp_path) == Status(2, 2, 1.0, 0.0, "measuring")
    assert pace_of(trainer) is not None


# pain 54
def test_a_full_disk_does_not_stop_the_training(tmp_path):
    write_status(tmp_path / "missing", Status(1, 2, 0.5, None))
    assert read_status(tmp_path / "missing") is None
