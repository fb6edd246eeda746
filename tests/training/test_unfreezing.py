"""Parts that are frozen for some epochs, also across an interruption."""

import copy

import pytest
import torch
from lightning.pytorch import Callback
from resume_fakes import BATCHES, Noisy
from test_resume import SignalAt, last, result, train

from detkit.detectors.base import DetectorModule
from detkit.detectors.freezing import Freezing
from detkit.errors import Stopped
from detkit.training.unfreezing import FreezeUntil

UNTIL = 2


class Freezable(Noisy, DetectorModule):
    """A detector whose parts can be frozen."""


class Watch(Callback):
    """Records weights, statistics and modes at the end of each epoch."""

    def __init__(self):
        self.states = []
        self.modes = []

    def on_train_start(self, trainer, pl_module):
        self.states.append(copy.deepcopy(pl_module.detector.state_dict()))

    def on_train_epoch_end(self, trainer, pl_module):
        self.states.append(copy.deepcopy(pl_module.detector.state_dict()))
        self.modes.append(pl_module.detector.backbone[1].training)


def start():
    return FreezeUntil(Freezing(("backbone",), UNTIL))


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder, watch = tmp_path_factory.mktemp("whole"), Watch()
    train(folder, start(), watch, detector=Freezable)
    return folder, watch


def test_frozen_parts_keep_weights_and_statistics_until_their_epoch(whole):
    first, *middle, trained = whole[1].states
    frozen = [name for name in first if name.startswith("backbone.")]
    assert all(torch.equal(state[name], first[name]) for state in middle for name in frozen)
    assert not any(torch.equal(trained[name], first[name]) for name in frozen)
    assert not torch.equal(middle[0]["head.weight"], first["head.weight"])
    assert whole[1].modes == [False] * UNTIL + [True]


def test_the_average_of_frozen_weights_is_exact(tmp_path, caplog):
    watch = Watch()
    train(tmp_path, FreezeUntil(Freezing(("backbone",), 99)), watch, detector=Freezable)
    assert "freeze: backbone will not train at all: the training ends after epoch" in caplog.text
    average = torch.load(last(tmp_path), weights_only=True)["state_dict"]
    for name, value in watch.states[0].items():
        assert torch.equal(average[f"detector.{name}"], value) is name.startswith("backbone.")


@pytest.mark.parametrize(
    "step",  # in a frozen epoch, at the end of the last one, and after it
    [
        pytest.param(2, marks=pytest.mark.slow),
        UNTIL * BATCHES - 1,
        pytest.param(UNTIL * BATCHES + 1, marks=pytest.mark.slow),
    ],
)
def test_a_training_with_frozen_parts_resumes_bit_equal(tmp_path, whole, step):  # pain 18
    with pytest.raises(Stopped):
        train(tmp_path, SignalAt(step), start(), detector=Freezable)
    train(tmp_path, start(), resume=str(last(tmp_path)), detector=Freezable)
    assert result(tmp_path) == result(whole[0])
