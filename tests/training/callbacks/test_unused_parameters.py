"""Parameters without a gradient are named once, by module."""

import pytest
import torch
from lightning.pytorch import Callback
from torch import nn
from training_fakes import TinyDetector, batches, cpu_trainer, tiny_module

from detkit.errors import UserError
from detkit.training.callbacks.unused_parameters import UnusedParameters
from detkit.training.fit import fit


class Idle(TinyDetector):
    """Has a branch unused by the loss, one multiplied by zero, and a frozen one."""

    def __init__(self):
        super().__init__()
        self.extra = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
        self.silent = nn.Linear(4, 1)
        self.frozen = nn.Linear(4, 1).requires_grad_(False)

    def loss(self, batch):
        features = self.backbone(batch.images.float() / 255).mean(dim=(2, 3))
        return {**super().loss(batch), "loss/silent": 0 * self.silent(features).sum()}


class Late(TinyDetector):
    """Has a branch that is first used in the third batch."""

    def __init__(self):
        super().__init__()
        self.late = nn.Linear(1, 1)

    def loss(self, batch):
        counts = float(batch.image_ids[0] >= 4)
        return {
            "loss/box": super().loss(batch)["loss/box"]
            + counts * self.late.weight.sum()
            + counts * self.late.bias.sum()
        }


def train(folder, detector, steps=3, count=4, **settings):
    callbacks = [UnusedParameters(steps=steps)]
    trainer = cpu_trainer(folder, callbacks=callbacks, max_epochs=1, **settings)
    fit(tiny_module(detector=detector), trainer, batches(count))


# pain 15
def test_parameters_without_gradient_are_named_by_module(tmp_path, caplog):
    train(tmp_path, Idle())
    (record,) = caplog.records
    text = record.getMessage()
    assert text.startswith("6 OF 14 PARAMETERS DO NOT LEARN in 3 steps: ")
    assert "no gradient (the loss does not use them): extra.0 (2), extra.1 (2)" in text
    assert "only zeros (nothing that counted in the loss depended on them): silent (2)" in text
    assert "frozen" not in text.split("Use them")[0]
    assert "On several devices, parameters without a gradient end the training" in text
    assert "\n" not in text


@pytest.mark.parametrize("detector", [TinyDetector, Late])
def test_parameters_that_learn_are_not_named(tmp_path, caplog, detector):
    train(tmp_path, detector())
    assert caplog.records == []


def test_parameter_that_waits_longer_is_named(tmp_path, caplog):
    train(tmp_path, Late(), steps=2)
    assert "only zeros" in caplog.text
    assert "late (2)" in caplog.text


def test_short_training_is_no_evidence(tmp_path, caplog):
    train(tmp_path, Idle(), steps=50)
    assert caplog.records == []


def test_many_modules_are_named_by_their_parent(tmp_path, caplog):
    class Many(TinyDetector):
        def __init__(self):
            super().__init__()
            self.extra = nn.ModuleList([nn.Sequential(nn.Linear(1, 1)) for _ in range(9)])

    train(tmp_path, Many())
    assert "extra (18)" in caplog.text


class Unfreeze(Callback):
    """Freezes the parts without a gradient for one epoch."""

    def on_train_epoch_start(self, trainer, pl_module):
        pl_module.detector.extra.requires_grad_(trainer.current_epoch > 0)


def test_parameters_count_once_they_are_unfrozen(tmp_path, caplog):
    detector = Idle()
    detector.extra.requires_grad_(False)
    callbacks = [Unfreeze(), UnusedParameters(steps=3)]
    trainer = cpu_trainer(tmp_path, callbacks=callbacks, max_epochs=2)
    fit(tiny_module(detector=detector), trainer, batches(4))
    first, second = (record.getMessage() for record in caplog.records)
    assert first.startswith("2 OF 14 PARAMETERS DO NOT LEARN")
    assert second.startswith("4 OF 14 PARAMETERS DO NOT LEARN in 3 steps: no gradient")


# pain 15
def test_several_devices_stop_after_the_first_step():
    module = tiny_module(detector=Idle())
    callback = UnusedParameters(steps=50)

    class Two:
        world_size, global_rank, is_global_zero, global_step = 2, 1, False, 0

    callback.on_train_start(Two(), module)
    sum(module.detector.loss(batches(1).batches[0]).values()).backward()
    message = r"4 parameters got no gradient in a step of rank 1: extra\.0 \(2\), extra\.1"
    with pytest.raises(UserError, match=message):
        callback.on_before_optimizer_step(Two(), module, torch.optim.SGD(module.parameters()))
