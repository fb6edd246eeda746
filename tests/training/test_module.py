import math
import warnings

import pytest
import torch
from lightning.pytorch.callbacks import Callback
from training_fakes import (
    RECORD,
    Batches,
    TinyDetector,
    TinyMetric,
    batches,
    cpu_trainer,
    tiny_module,
)

from detkit.errors import UserError
from detkit.optimizers.adamw import AdamW
from detkit.optimizers.sgd import SGD
from detkit.runs.metrics_logger import read_metrics
from detkit.schedules.constant import Constant
from detkit.structures import Detections
from detkit.training.callbacks.checkpoints import Checkpoints
from detkit.training.callbacks.ema import WeightAverage
from detkit.training.fit import fit
from detkit.training.module import to_cpu


class Losses(Callback):
    def __init__(self):
        self.seen = []
        self.rates = []

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.seen.append(outputs["loss"].item())
        self.rates.append(trainer.optimizers[0].param_groups[0]["lr"])


def test_training_lowers_the_loss(tmp_path):
    losses = Losses()
    fit(tiny_module(), cpu_trainer(tmp_path, max_epochs=6, callbacks=[losses]), batches())
    assert len(losses.seen) == 24
    assert sum(losses.seen[-4:]) < 0.5 * sum(losses.seen[:4])


def test_only_loss_entries_are_summed(tmp_path):
    class WithCount(TinyDetector):
        def loss(self, batch):
            return {**super().loss(batch), "positives": torch.tensor(1000.0)}

    losses = Losses()
    module = tiny_module(detector=WithCount())
    fit(module, cpu_trainer(tmp_path, max_epochs=1, callbacks=[losses]), batches())
    assert max(losses.seen) < 100
    assert {row["positives"] for row in read_metrics(tmp_path / "metrics.csv")} == {"1000.0"}


def test_schedule_moves_with_each_optimizer_step(tmp_path):
    def halves(step, total_steps):
        assert total_steps == 3
        return 0.5**step

    losses = Losses()
    module = tiny_module(schedule=halves, optimizer=SGD(learning_rate=0.1))
    trainer = cpu_trainer(tmp_path, max_epochs=1, accumulate_grad_batches=2, callbacks=[losses])
    fit(module, trainer, batches(5))  # steps after batches 2, 4 and, at the end, 5
    # Seen after the schedule has moved on; the step after the last keeps the last factor.
    torch.testing.assert_close(losses.rates, [0.1, 0.05, 0.05, 0.025, 0.025])


def test_learning_rate_is_scaled_by_images_of_a_step(tmp_path):
    losses = Losses()
    optimizer = SGD(learning_rate=0.1, reference_batch=16)
    module = tiny_module(optimizer=optimizer, schedule=Constant(warmup_steps=0))
    trainer = cpu_trainer(tmp_path, max_epochs=1, accumulate_grad_batches=2, callbacks=[losses])
    fit(module, trainer, batches(2))
    assert losses.rates == [0.1 * 4 / 16] * 2


def test_validation_logs_scores_and_leaves_classes_without_objects_out(tmp_path):
    fit(tiny_module(), cpu_trainer(tmp_path, max_epochs=1), batches(2), batches(2))
    (row,) = [row for row in read_metrics(tmp_path / "metrics.csv") if row["val/AP"]]
    assert row["val/AP/disc"] == row["val/AP"]
    assert "val/AP/square" not in row


def test_nan_overall_score_is_logged(tmp_path):
    class Blind(TinyMetric):
        def update(self, image_ids, detections, targets):
            pass

    trainer = cpu_trainer(tmp_path, max_epochs=1)
    fit(tiny_module(metric=Blind()), trainer, batches(2), batches(1))
    assert math.isnan(trainer.callback_metrics["val/AP"])


def test_metric_starts_anew_at_each_validation(tmp_path):
    module = tiny_module()
    trainer = cpu_trainer(tmp_path, max_epochs=2)
    fit(module, trainer, batches(2), Batches(7))
    assert sorted(module.metric.scores) == [14, 15]


def run_epochs(folder, epochs, *, total, resume=None, optimizer=None, validate_every=1):
    """Train up to `epochs` of a training planned for `total`."""
    module = tiny_module(optimizer=optimizer or SGD(learning_rate=0.1))
    ema, checkpoints = WeightAverage(decay=0.9), Checkpoints(run_folder=str(folder))
    trainer = cpu_trainer(
        folder,
        max_epochs=total,
        callbacks=[ema, checkpoints, StopAfter(epochs)],
        validate_every=validate_every,
    )
    fit(module, trainer, batches(), batches(1), resume=resume)
    return torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)


class StopAfter(Callback):
    """Stops after an epoch's checkpoint, as a kill at the end of that epoch does."""

    def __init__(self, epochs):
        self.epochs = epochs

    def on_train_epoch_end(self, trainer, pl_module):
        trainer.should_stop = trainer.should_stop or trainer.current_epoch + 1 == self.epochs


def assert_equal(left, right, path=""):
    assert type(left) is type(right), path
    if isinstance(left, dict):
        assert left.keys() == right.keys(), path
        for key in left:
            assert_equal(left[key], right[key], f"{path}/{key}")
    elif isinstance(left, list):
        assert len(left) == len(right), path
        for i, (a, b) in enumerate(zip(left, right, strict=True)):
            assert_equal(a, b, f"{path}/{i}")
    elif isinstance(left, torch.Tensor):
        assert torch.equal(left, right), path
    else:
        assert left == right, path


@pytest.mark.parametrize("optimizer", [SGD(learning_rate=0.1), AdamW(learning_rate=0.01)])
@pytest.mark.parametrize("validate_every", [1, 2])
def test_resumed_training_is_bit_equal_to_one_without_stop(tmp_path, optimizer, validate_every):
    # pain 18
    settings = {"total": 5, "optimizer": optimizer, "validate_every": validate_every}
    whole = run_epochs(tmp_path / "whole", 5, **settings)
    run_epochs(tmp_path / "parts", 3, **settings)
    last = str(tmp_path / "parts" / "checkpoints" / "last.ckpt")
    resumed = run_epochs(tmp_path / "parts", 5, resume=last, **settings)
    for key in ("state_dict", "raw_state_dict", "optimizer_states", "lr_schedulers", "callbacks"):
        assert_equal(whole[key], resumed[key], key)
    assert (whole["epoch"], whole["global_step"]) == (resumed["epoch"], resumed["global_step"])
    rows = [read_metrics(tmp_path / name / "metrics.csv") for name in ("whole", "parts")]
    assert rows[0] == rows[1]


def test_checkpoint_holds_the_record_and_loads_without_running_code(tmp_path):
    # pain 19
    checkpoint = run_epochs(tmp_path, 1, total=1)
    assert checkpoint["detkit"] == RECORD
    detector = TinyDetector()
    weights = {k.removeprefix("detector."): v for k, v in checkpoint["state_dict"].items()}
    assert detector.load_state_dict(weights, strict=True).missing_keys == []


def test_empty_training_split_is_refused(tmp_path):
    with pytest.raises(UserError, match="0 optimizer steps, expected 1 or more"):
        fit(tiny_module(), cpu_trainer(tmp_path), Batches())


def test_detections_come_to_the_cpu_image_by_image():
    first = Detections(torch.rand(2, 4), torch.tensor([0.9, 0.8]), torch.tensor([1, 0]))
    none = Detections(torch.rand(0, 4), torch.rand(0), torch.zeros(0, dtype=torch.int64))
    assert_equal([list(d) for d in to_cpu([first, none])], [list(first), list(none)])
    assert to_cpu([]) == []


def test_training_warns_of_nothing(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        trainer = cpu_trainer(tmp_path, max_epochs=1)
        fit(tiny_module(), trainer, batches(2), batches(1))
