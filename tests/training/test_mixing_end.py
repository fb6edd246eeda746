"""The last epochs have no mosaic even if steps or minutes set the length."""

from types import SimpleNamespace

import pytest

from detkit.training.mixing_end import MixingEnd
from detkit.training.training_limits import TrainingLength


class MixingData:
    def __init__(self):
        self.mixes = True

    def end_mixing(self):
        self.mixes = False
        return True


@pytest.mark.parametrize(("epoch", "mixes"), [(0, True), (1, True), (2, False), (3, False)])
def test_steps_tell_the_last_epochs(epoch, mixes):
    data = MixingData()
    trainer = SimpleNamespace(
        callbacks=[TrainingLength(max_steps=35)],
        num_training_batches=10,
        accumulate_grad_batches=1,
        global_step=10 * epoch,
        current_epoch=epoch,
        train_dataloader=SimpleNamespace(dataset=data),
    )
    MixingEnd(close_epochs=2).on_train_epoch_start(trainer, None)
    assert data.mixes is mixes
