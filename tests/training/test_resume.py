"""A training interrupted anywhere and resumed is bit-identical to an uninterrupted one."""

import os
import signal
from pathlib import Path

import pytest
import torch
from lightning.pytorch import Callback
from resume_fakes import BATCHES, AcrossBatches, Loader, Noisy
from training_fakes import batches, cpu_trainer, tiny_module

from detkit import registry
from detkit.errors import Stopped
from detkit.losses import SeesawLoss
from detkit.optimizers.adamw import AdamW
from detkit.runs.metrics_logger import read_metrics
from detkit.runs.training_position import Position, read_position
from detkit.training.callbacks.checkpoints import Checkpoints
from detkit.training.callbacks.ema import WeightAverage
from detkit.training.fit import fit
from detkit.training.trainer import seed_everything

EPOCHS = 3
KEYS = (
    "state_dict",
    "raw_state_dict",
    "optimizer_states",
    "lr_schedulers",
    "callbacks",
    "random_states",
    "position",
    "epoch",
    "global_step",
)


class SignalAt(Callback):
    """Sends this process a signal while it trains on a batch."""

    def __init__(self, step, number=signal.SIGINT):
        self.step, self.number = step, number

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        if trainer.current_epoch * BATCHES + batch_idx == self.step:
            os.kill(os.getpid(), self.number)


def train(folder, *callbacks, resume=None, optimizer=None, detector=Noisy, **settings):
    start = read_position(resume) if resume else Position()
    checkpoints = Checkpoints(run_folder=str(folder), **settings.pop("save", {}))
    trainer = cpu_trainer(
        folder,
        max_epochs=EPOCHS,
        log_every=1,
        callbacks=[WeightAverage(decay=0.9), checkpoints, *callbacks],
        **settings,
    )
    seed_everything(0)
    module = tiny_module(detector=detector(), optimizer=optimizer or AdamW(learning_rate=0.01))
    fit(module, trainer, Loader(start[:2]), batches(1), resume=resume)


def last(folder):
    return folder / "checkpoints" / "last.ckpt"


def plain(value):
    """Tensors as bytes, to compare them exactly with ==."""
    if isinstance(value, torch.Tensor):
        return (value.dtype, tuple(value.shape), value.numpy().tobytes())
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, (list, tuple)) else value


def result(folder):
    content = torch.load(last(folder), weights_only=True)
    return {key: plain(content[key]) for key in KEYS}, read_metrics(folder / "metrics.csv")


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    train(folder)
    return result(folder)


STEPS = range(EPOCHS * BATCHES - 1)
FEW = (0, BATCHES - 1, BATCHES, STEPS[-1])  # at both ends of an epoch and of the training


@pytest.mark.parametrize(
    "step", [pytest.param(s, marks=[] if s in FEW else [pytest.mark.slow]) for s in STEPS]
)
def test_training_stopped_after_any_step_resumes_with_the_next(tmp_path, whole, step):  # pain 18
    with pytest.raises(Stopped, match=r"saved: .*last\.ckpt") as stopped:
        train(tmp_path, SignalAt(step))
    assert stopped.value.exit_code == 130
    assert read_position(last(tmp_path))[:2] == divmod(step + 1, BATCHES)
    assert f"stopped {read_position(last(tmp_path))}; " in str(stopped.value)
    train(tmp_path, resume=str(last(tmp_path)))
    assert result(tmp_path) == whole


class Counting(Noisy):
    """Classifies random objects with a loss that counts them."""

    def __init__(self):
        super().__init__()
        self.seesaw = SeesawLoss(num_classes=3)

    def loss(self, batch):
        answers = self(batch.images)
        labels = torch.randint(-1, 3, answers.shape)
        losses = self.seesaw(answers[:, None] * torch.arange(4), labels)
        return {"loss/classification": losses.sum(), **super().loss(batch)}


def test_counts_of_a_loss_resume_bit_equal(tmp_path):  # pain 18
    train(tmp_path / "whole", detector=Counting)
    with pytest.raises(Stopped):
        train(tmp_path / "parts", SignalAt(BATCHES), detector=Counting)
    train(tmp_path / "parts", resume=str(last(tmp_path / "parts")), detector=Counting)
    assert result(tmp_path / "parts") == result(tmp_path / "whole")
    content = torch.load(last(tmp_path / "parts"), weights_only=True)
    assert content["state_dict"]["detector.seesaw.counts"].sum() > 0


@pytest.mark.slow  # the contract proves it for the optimizer alone
@pytest.mark.parametrize("name", registry.names("optimizer"))
def test_every_optimizer_resumes_bit_equal(tmp_path, name):  # pain 18
    optimizer = registry.get("optimizer", name)(learning_rate=0.01)
    train(tmp_path / "whole", optimizer=optimizer)
    with pytest.raises(Stopped):
        train(tmp_path / "parts", SignalAt(BATCHES), optimizer=optimizer)
    train(tmp_path / "parts", resume=str(last(tmp_path / "parts")), optimizer=optimizer)
    assert result(tmp_path / "parts") == result(tmp_path / "whole")


def test_positions_count_from_one_as_the_terminal_does():
    assert str(Position(1, 6)) == "in epoch 2, batch 6"
    assert str(Position(1, 0)) == "at the start of epoch 2"


def test_a_resumed_training_without_epochs_left_is_complete():
    assert Position(2, 0).resume_text(3) == "resuming at the start of epoch 3"
    assert Position(2, 6).resume_text(None) == "resuming in epoch 3, batch 6"
    text = "the training is complete: trainer.max_epochs=3 reached; a higher number trains"
    assert Position(3, 0).resume_text(3).startswith(text)


@pytest.mark.parametrize("detector", [Noisy, AcrossBatches])
def test_half_summed_gradients_are_never_saved(tmp_path, detector):
    settings = {"accumulate_grad_batches": 2, "detector": detector}
    train(tmp_path / "whole", **settings)
    with pytest.raises(Stopped):
        train(tmp_path / "parts", SignalAt(BATCHES), **settings)
    assert read_position(last(tmp_path / "parts"))[:2] == (1, 2)
    train(tmp_path / "parts", resume=str(last(tmp_path / "parts")), **settings)
    assert result(tmp_path / "parts") == result(tmp_path / "whole")


class KilledAt(Callback):
    """Ends the training as SIGKILL does: no handler and no exit code run."""

    def __init__(self, step):
        self.step = step

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        if trainer.global_step == self.step:
            raise RuntimeError("killed")


@pytest.mark.parametrize("step", [3, 8, 10, 14])
def test_killed_training_resumes_from_a_save_within_the_epoch(tmp_path, whole, step):
    # pain 18
    with pytest.raises(RuntimeError, match="killed"):
        train(tmp_path, KilledAt(step), save={"minutes": 1e-9})
    assert read_position(last(tmp_path))[:2] == divmod(step - 1, BATCHES)
    train(tmp_path, resume=str(last(tmp_path)), save={"minutes": 1e-9})
    assert result(tmp_path) == whole


@pytest.mark.parametrize(
    ("function", "call"),
    [("fsync", 2), ("replace", 3), ("replace", 4), ("link", 2)],
    ids=["half a file", "before best.ckpt", "between best.ckpt and last.ckpt", "before the link"],
)
def test_kill_while_a_checkpoint_is_written_leaves_the_one_before(
    tmp_path, whole, monkeypatch, function, call
):
    # pain 18
    real, calls = getattr(os, function), []

    def killed(*arguments, **settings):
        if function != "replace" or Path(arguments[1]).suffix == ".ckpt":  # not metrics.csv
            calls.append(arguments)
        if len(calls) == call:
            calls.clear()
            raise RuntimeError("killed")
        return real(*arguments, **settings)

    monkeypatch.setattr(os, function, killed)
    with pytest.raises(RuntimeError, match="killed"):
        train(tmp_path)
    monkeypatch.undo()
    assert last(tmp_path).with_suffix(".part").exists()
    train(tmp_path, resume=str(last(tmp_path)))
    assert result(tmp_path) == whole
    left = sorted(path.name for path in last(tmp_path).parent.iterdir())
    assert left == ["best.ckpt", "last.ckpt"]


def test_second_ctrl_c_stops_at_once(tmp_path):
    twice = [SignalAt(7), SignalAt(7)]
    with pytest.raises(Stopped, match="at once") as stopped:
        train(tmp_path, *twice)
    assert stopped.value.exit_code == 130
    assert read_position(last(tmp_path))[:2] == (1, 0)


@pytest.mark.parametrize(
    ("function", "call"), [("fsync", 2), ("fsync", 3), ("replace", 2), ("link", 1), ("link", 2)]
)
def test_second_ctrl_c_while_a_checkpoint_is_written_leaves_no_half_of_it(
    tmp_path, whole, monkeypatch, function, call
):
    real, calls = getattr(os, function), []

    def interrupted(*arguments, **settings):
        if function != "replace" or Path(arguments[1]).suffix == ".ckpt":  # not metrics.csv
            calls.append(arguments)
        if len(calls) == call:
            for _ in range(2):
                os.kill(os.getpid(), signal.SIGINT)
        return real(*arguments, **settings)

    monkeypatch.setattr(os, function, interrupted)
    with pytest.raises(Stopped, match="at once") as stopped:
        train(tmp_path)
    monkeypatch.undo()
    folder = last(tmp_path).parent
    assert not list(folder.glob("*.part"))
    resume = str(last(tmp_path)) if last(tmp_path).exists() else None
    said = "saved: last.ckpt; resume with" if resume else "nothing is saved yet; begin again with"
    assert said in str(stopped.value)
    train(tmp_path, resume=resume)
    assert result(tmp_path) == whole


def test_sigterm_saves_and_has_its_own_exit_code(tmp_path):
    with pytest.raises(Stopped) as stopped:
        train(tmp_path, SignalAt(2, signal.SIGTERM))
    assert stopped.value.exit_code == 143
    assert read_position(last(tmp_path))[:2] == (0, 3)


def test_signals_mean_what_they_meant_after_a_training(tmp_path):
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    train(tmp_path / "whole")
    with pytest.raises(Stopped):
        train(tmp_path / "stopped", SignalAt(1))
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def rates(folder):
    return {
        int(row["step"]): float(row["learning_rate"])
        for row in read_metrics(folder / "metrics.csv")
        if row["learning_rate"]
    }


@pytest.mark.parametrize("step", [6, BATCHES * 2 - 1], ids=["within an epoch", "after an epoch"])
def test_changed_learning_rate_takes_effect_at_its_place_in_the_schedule(tmp_path, step):
    train(tmp_path / "whole")
    with pytest.raises(Stopped):
        train(tmp_path / "parts", SignalAt(step))
    resume = str(last(tmp_path / "parts"))
    train(tmp_path / "parts", resume=resume, optimizer=AdamW(learning_rate=0.001))
    expected = {s: r if s <= step else r / 10 for s, r in rates(tmp_path / "whole").items()}
    assert rates(tmp_path / "parts") == pytest.approx(expected, rel=1e-6)
    (kept,) = torch.load(last(tmp_path / "parts"), weights_only=True)["lr_schedulers"]
    assert kept["base_lrs"] == [0.001] * len(kept["base_lrs"])


def test_each_group_keeps_its_own_factor_when_the_learning_rate_changes(tmp_path):
    class Rates(Callback):
        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
            found = [group["lr"] for group in trainer.optimizers[0].param_groups]
            seen.append({rate / max(found) for rate in found})
            highest.append(max(found))

    with pytest.raises(Stopped):
        train(tmp_path, SignalAt(6), optimizer=AdamW(backbone_factor=0.25))
    seen, highest = [], []
    slower = AdamW(learning_rate=1e-6, backbone_factor=0.25)
    train(tmp_path, Rates(), resume=str(last(tmp_path)), optimizer=slower)
    assert seen == [{0.25, 1.0}] * (EPOCHS * BATCHES - 7)
    assert max(highest) < 1e-6


def test_changed_gradient_clip_takes_effect(tmp_path):
    class Norms(Callback):
        def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
            found = [p.grad for p in pl_module.parameters() if p.grad is not None]
            norms.append(float(torch.nn.utils.get_total_norm(found)))

    norms = []
    with pytest.raises(Stopped):
        train(tmp_path, Norms(), SignalAt(6))
    assert max(norms) > 1e-3
    norms.clear()
    train(tmp_path, Norms(), resume=str(last(tmp_path)), gradient_clip_norm=1e-3)
    assert len(norms) == EPOCHS * BATCHES - 7
    assert max(norms) < 1.01e-3
