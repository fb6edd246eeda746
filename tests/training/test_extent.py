from detkit.training.extent import Extent, extent_of

TRAINER = {
    "max_epochs": 14,
    "validate_every": 4,
    "limit_train_batches": None,
    "limit_validation_batches": None,
}
DATA = {"batch_size": 8, "validation_batch_size": None}


def extent(**limits: int) -> Extent:
    config = {"trainer": {**TRAINER, **limits}, "data": DATA}
    return extent_of(config, batches=50, batch_size=8, validation_images=120)


def test_the_last_epoch_is_validated_too():
    assert extent() == Extent(14, 50, 8, validations=4, validation_images=120)


def test_limits_count():
    limited = extent(limit_train_batches=2, limit_validation_batches=3)
    assert (limited.batches, limited.validation_images) == (2, 24)
    assert extent(limit_train_batches=99).batches == 50


def test_measuring_the_best_checkpoint_counts_as_a_validation():
    assert extent().training_seconds(0.5) == 14 * 50 * 8 * 0.5
    assert extent().validation_seconds(0.5) == 5 * 120 * 0.5
