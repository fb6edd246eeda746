"""A schedule that follows the metric: in a training, and when the training resumes."""

import pytest
import torch
from lightning.pytorch import Callback
from training_fakes import TinyMetric, batches, cpu_trainer, tiny_module

from detkit.errors import ConfigError
from detkit.optimizers.sgd import SGD
from detkit.runs.metrics_logger import read_metrics
from detkit.schedules.plateau import Plateau
from detkit.training.callbacks.checkpoints import Checkpoints
from detkit.training.fit import fit


class Constant(TinyMetric):
    """An AP that never improves."""

    def compute(self):
        return {"AP": 0.5}


class Rates(Callback):
    """The learning rate of each step."""

    def __init__(self):
        self.seen = []

    def on_before_optimizer_step(self, trainer, pl_module, optimizer):
        self.seen.append(optimizer.param_groups[0]["lr"])


def train(folder, epochs, resume=None, schedule=None):
    rates = Rates()
    schedule = schedule or Plateau(patience=1, gamma=0.5, warmup_steps=0)
    module = tiny_module(
        metric=Constant(), schedule=schedule, optimizer=SGD(learning_rate=1.0, momentum=0.0)
    )
    saving = Checkpoints(run_folder=str(folder))
    trainer = cpu_trainer(folder, max_epochs=epochs, log_every=1, callbacks=[saving, rates])
    fit(module, trainer, batches(2), batches(1), resume=resume)
    return rates.seen, module


def test_the_rate_drops_right_after_the_validation_that_did_not_improve(tmp_path):
    rates, _ = train(tmp_path, 4)
    assert rates == [1.0] * 4 + [0.5] * 2 + [0.25] * 2
    logged = [row["learning_rate"] for row in read_metrics(tmp_path / "metrics.csv")]
    assert [float(rate) for rate in logged if rate] == rates


def test_a_resumed_training_keeps_the_rate_and_the_count(tmp_path):  # pain 18
    rates, whole = train(tmp_path / "whole", 4)
    train(tmp_path / "parts", 3)
    resumed, module = train(
        tmp_path / "parts", 4, resume=str(tmp_path / "parts/checkpoints/last.ckpt")
    )
    assert resumed == rates[-2:]
    assert module.schedule.state_dict() == whole.schedule.state_dict()
    for one, other in zip(module.parameters(), whole.parameters(), strict=True):
        assert torch.equal(one, other)


def test_a_number_that_the_metric_lacks_is_refused_with_those_it_has(tmp_path):
    with pytest.raises(ConfigError, match=r"no number 'AP5'; choose one of AP\."):
        train(tmp_path, 1, schedule=Plateau(monitor="AP5"))
