import pytest

from detkit.training.workload import Extent, extent_of

TRAINER = {
    "max_epochs": 14,
    "max_steps": None,
    "max_minutes": None,
    "validate_every": 4,
    "accumulate_grad_batches": 1,
    "limit_train_batches": None,
    "limit_validation_batches": None,
}
DATA = {"batch_size": 8, "validation_batch_size": None}


def extent(**changes: object) -> Extent:
    config = {"trainer": {**TRAINER, **changes}, "data": DATA}
    return extent_of(config, batches=50, batch_size=8, validation_images=120)


def test_the_last_epoch_is_validated_and_the_best_checkpoint_measured_again():
    time = extent().time(0.5, 0.25)
    assert (time.epochs, time.validations) == (14, 4)
    assert (time.training, time.validation) == (14 * 50 * 8 * 0.5, 5 * 120 * 0.25)


def test_limits_of_batches_count():
    limited = extent(limit_train_batches=2, limit_validation_batches=3)
    assert (limited.batches, limited.validation_images) == (2, 24)
    assert extent(limit_train_batches=99).batches == 50


def test_steps_end_a_training():
    stepped = extent(max_epochs=None, max_steps=125, accumulate_grad_batches=2)
    assert stepped.time(0.5, 0.25).epochs == 5
    assert extent(max_steps=9999).time(0.5, 0.25).epochs == 14


def test_minutes_end_a_training():
    timed = extent(max_epochs=None, max_minutes=10)
    time = timed.time(0.5, 0.25)
    assert time.epochs == pytest.approx(600 / (200 + 30 / 4))
    assert timed.text(time).startswith("the whole training: 2.9 epochs of 50 batches and 1 valid")
    assert extent(max_minutes=9999).time(0.5, 0.25).epochs == 14
