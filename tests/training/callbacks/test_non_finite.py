"""A non-finite loss or gradient stops the run and saves the step."""

import math
import re

import pytest
import torch
from training_fakes import Batches, TinyDetector, batches, cpu_trainer, tiny_module

from detkit.errors import UserError
from detkit.runs.random_state import set_random_state
from detkit.runs.resume_changes import check_resume
from detkit.runs.saved_step import parse_step
from detkit.training.callbacks.checkpoints import Checkpoints
from detkit.training.callbacks.non_finite import NonFinite
from detkit.training.fit import fit
from detkit.training.step_replay import replay_step
from detkit.training.trainer import seed_everything

BAD = 2  # the batch that something goes wrong with, step 3


def number_of(batch):
    return batch.image_ids[0] // 2


class BadLoss(TinyDetector):
    """Gives NaN for one batch, and infinity from the next on."""

    def loss(self, batch):
        value = {0: 1.0, 1: 1.0, BAD: math.nan}.get(number_of(batch), math.inf)
        return {**super().loss(batch), "loss/classification": torch.tensor(value)}


class BadModule(TinyDetector):
    """Random numbers in training, and a layer that turns one batch into infinity."""

    def __init__(self):
        super().__init__()
        self.drop = torch.nn.Dropout(0.5)
        self.late = Overflow()

    def loss(self, batch):
        features = self.backbone(batch.images.float() / 255).mean(dim=(2, 3))
        self.late.spoils = number_of(batch) == BAD
        return {"loss/box": self.head(self.late(self.drop(features))).square().mean()}


class Overflow(torch.nn.Module):
    spoils = False

    def forward(self, values):
        return values * 3e38 * 10 if self.spoils else values


class BadGradient(TinyDetector):
    """A finite loss with a NaN gradient: the root of zero."""

    def loss(self, batch):
        off = 0.0 if number_of(batch) == BAD else 1.0
        values = super().loss(batch)
        return {**values, "loss/root": (self.head.weight * 0 + off).sum().sqrt()}


def seeded(kind):
    seed_everything(0)
    return tiny_module(detector=kind())


def stopped(folder, kind, check_every=1, number=6, **settings):
    """Train until it stops; the message, the module, and what was saved."""
    module = seeded(kind)
    callbacks = [NonFinite(run_folder=str(folder), check_every=check_every)]
    callbacks.append(Checkpoints(run_folder=str(folder)))
    trainer = cpu_trainer(folder, callbacks=callbacks, **{"max_epochs": 1, **settings})
    with pytest.raises(UserError) as caught:
        fit(module, trainer, batches(number))
    (path,) = (folder / "non_finite").iterdir()
    content = torch.load(path, weights_only=True)
    return str(caught.value), module, content, parse_step(content, path)


# pain 13
def test_non_finite_loss_stops_with_step_parts_files_and_command(tmp_path):
    message, _, _, step = stopped(tmp_path, BadLoss)
    assert "the loss of step 3 (epoch 1) is nan, expected a finite number" in message
    assert "loss/classification nan" in message
    assert "image4.png, image5.png" in message
    assert f"detkit replay {tmp_path / 'non_finite/step_000003.pt'}" in message
    assert "loss/classification became not finite outside of modules" in message
    assert step.number == 3
    assert math.isnan(step.losses["loss/classification"])
    assert step.losses["loss/box"] > 0
    assert not (tmp_path / "checkpoints" / "last.ckpt").exists()


def test_remedies_may_change_when_the_run_resumes(tmp_path):
    message, *_ = stopped(tmp_path, BadLoss)
    assert f"detkit train ckpt={tmp_path} and these words" in message
    named = re.findall(r"(?:optimizer|trainer|scheduler)\.\w+", message)
    assert "optimizer.learning_rate" in named
    for key in named:
        block, _, name = key.partition(".")
        assert check_resume({block: {name: 1}}, {block: {name: 2}}), key


# pain 13
def test_saved_step_repeats_bit_identically(tmp_path):
    message, _, content, step = stopped(tmp_path, BadModule)
    assert "the first module whose output is not finite: late (Overflow)" in message
    detector = BadModule()
    state = {k.removeprefix("detector."): v for k, v in content["state_dict"].items()}
    detector.load_state_dict(state)
    good = repeat_from(detector, step, batch=Batches(0).batches[0])
    again = repeat_from(detector, step, batch=Batches(0).batches[0])
    assert good.losses == again.losses  # the dropout is the same one
    bad = repeat_from(detector, step, batch=step.batch)
    assert [module.name for module in bad.bad_modules] == ["late", "head"]
    assert bad.bad_modules[0].input_finite
    assert not bad.bad_modules[1].input_finite
    assert not bad.is_finite


def repeat_from(detector, step, batch):
    set_random_state(step.random_state)
    return replay_step(detector, batch, step.precision)


# pain 13
@pytest.mark.parametrize("detector", [BadLoss, BadModule, BadGradient])
def test_weights_and_buffers_are_from_before_the_step(tmp_path, detector):
    _, _, content, _ = stopped(tmp_path / "stopped", detector)
    module = seeded(detector)
    trainer = cpu_trainer(tmp_path, max_epochs=1, limit_train_batches=BAD)
    module.schedule = lambda step, total: math.cos(math.pi * step / (2 * 6)) ** 2  # of six steps
    fit(module, trainer, batches(BAD))
    for name, value in module.state_dict().items():
        torch.testing.assert_close(content["state_dict"][name], value, rtol=0, atol=1e-6)
    assert all(value.isfinite().all() for value in content["state_dict"].values())


# pain 13
def test_non_finite_gradient_stops_before_it_damages_the_weights(tmp_path):
    message, module, _, step = stopped(tmp_path, BadGradient)
    assert "the gradient of step 3 (epoch 1) has the norm nan" in message
    assert "the gradients of 1 of 6 parameters are not finite, nearest to the loss" in message
    assert "head.weight" in message
    assert all(math.isfinite(value) for value in step.losses.values())
    assert all(parameter.isfinite().all() for parameter in module.parameters())


def test_looking_seldom_names_the_first_bad_step_and_says_that_weights_are_later(tmp_path):
    message, _, _, step = stopped(tmp_path, BadGradient, check_every=5)
    assert "step 3" in message
    assert "the weights are 2 optimizer steps later than the step" in message
    assert "the weights are not finite themselves" in message
    assert (step.weights_later, step.batch.paths) == (2, ["image4.png", "image5.png"])


@pytest.mark.parametrize("check_every", [4, 100])
def test_looks_before_a_checkpoint_is_saved(tmp_path, check_every):
    message, *_ = stopped(tmp_path, BadLoss, check_every=check_every)
    assert "step 3" in message
    assert not (tmp_path / "checkpoints" / "last.ckpt").exists()


def test_bad_batch_among_accumulated_ones_is_the_one_saved(tmp_path):
    for detector in (BadLoss, BadGradient):
        folder = tmp_path / detector.__name__
        _, _, _, step = stopped(folder, detector, accumulate_grad_batches=4, number=8)
        assert step.batch.paths == ["image4.png", "image5.png"]
        assert (step.number, step.weights_later) == (1, 0)


def test_last_good_checkpoint_is_unchanged(tmp_path):
    callbacks = [Checkpoints(run_folder=str(tmp_path)), NonFinite(run_folder=str(tmp_path))]
    module = seeded(BadLoss)
    fit(module, cpu_trainer(tmp_path, callbacks=callbacks, max_epochs=1), batches(2))
    last = tmp_path / "checkpoints/last.ckpt"
    before = last.read_bytes()
    trainer = cpu_trainer(tmp_path, callbacks=callbacks, max_epochs=2)
    with pytest.raises(UserError, match="step 5"):
        fit(module, trainer, batches(4), resume=str(last))
    assert last.read_bytes() == before


def test_unwritable_folder_is_reported_and_does_not_hide_the_fault(tmp_path):
    (tmp_path / "non_finite").write_text("a file where the folder has to be")
    trainer = cpu_trainer(tmp_path, callbacks=[NonFinite(run_folder=str(tmp_path))])
    with pytest.raises(
        UserError, match=r"(?s)is nan.*the step could not be saved in .*step_000003"
    ):
        fit(seeded(BadLoss), trainer, batches(4))


def test_finite_training_writes_nothing_and_changes_nothing(tmp_path):
    weights = []
    for callbacks in ([], [NonFinite(run_folder=str(tmp_path))]):
        module = seeded(BadModule)
        fit(module, cpu_trainer(tmp_path, callbacks=callbacks, max_epochs=1), batches(2))
        weights.append(module.state_dict())
    torch.testing.assert_close(*weights, rtol=0, atol=0)
    assert not (tmp_path / "non_finite").exists()
