import logging
import random

import numpy
import pytest
import torch
from torch import nn
from training_fakes import Batches, TinyDetector, batches, cpu_trainer, tiny_module

from detkit.errors import UserError
from detkit.training.fit import fit
from detkit.training.trainer import prepare_detector, seed_everything


@pytest.mark.parametrize(
    ("ours", "lightnings"), [(32, "32-true"), ("bf16", "bf16-mixed")]
)  # 16-mixed needs a GPU
def test_precision_names(tmp_path, ours, lightnings):
    assert cpu_trainer(tmp_path, precision=ours).precision == lightnings


@pytest.mark.parametrize(
    ("level", "enabled", "warns"),
    [("strict", True, False), ("warn", True, True), ("none", False, False)],
)
def test_determinism_levels(tmp_path, level, enabled, warns):
    try:
        cpu_trainer(tmp_path, deterministic=level)
        assert torch.are_deterministic_algorithms_enabled() is enabled
        assert torch.is_deterministic_algorithms_warn_only_enabled() is warns
    finally:
        torch.use_deterministic_algorithms(False)


def test_bfloat16_training_runs_and_keeps_float32_weights(tmp_path):
    module = tiny_module()
    fit(module, cpu_trainer(tmp_path, max_epochs=1, precision="bf16"), batches(2), Batches(3))
    assert {parameter.dtype for parameter in module.parameters()} == {torch.float32}
    assert all(parameter.isfinite().all() for parameter in module.parameters())


def test_gradients_are_clipped_to_the_norm(tmp_path):
    class Norm(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.tensor([0.0, 0.0]))

        def loss(self, batch):
            return {"loss/slope": (self.weight * torch.tensor([300.0, 400.0])).sum()}

    module = tiny_module(detector=Norm(), schedule=lambda step, total_steps: 1.0)
    fit(module, cpu_trainer(tmp_path, max_epochs=1, gradient_clip_norm=1.0), batches(1))
    # learning rate 0.1 times a gradient of (0.6, 0.8)
    torch.testing.assert_close(module.detector.weight.data, torch.tensor([-0.06, -0.08]))


def test_limits_count_batches(tmp_path):
    trainer = cpu_trainer(tmp_path, max_epochs=1, limit_train_batches=3, limit_validation_batches=1)
    module = tiny_module()
    fit(module, trainer, batches(4), batches(2))
    assert trainer.global_step == 3
    assert sorted(module.metric.scores) == [0, 1]


def test_console_stays_quiet(tmp_path, capfd, caplog):
    with caplog.at_level(logging.INFO):
        fit(tiny_module(), cpu_trainer(tmp_path, max_epochs=1), batches(2), Batches(3))
    assert capfd.readouterr() == ("", "")
    assert {record.name for record in caplog.records} == {"detkit.run"}


def test_only_metrics_and_progress_are_written_without_callbacks(tmp_path):
    fit(tiny_module(), cpu_trainer(tmp_path, max_epochs=1), batches(2), Batches(3))
    assert {path.name for path in tmp_path.rglob("*")} == {"metrics.csv", "progress.json"}


def test_seed_repeats_every_generator():
    def draw():
        seed_everything(3)
        return random.random(), numpy.random.rand(), torch.rand(1).item()

    assert draw() == draw()


def test_channels_last_changes_the_memory_order_only():
    detector = TinyDetector()
    images = torch.randint(0, 256, (2, 3, 8, 8), dtype=torch.uint8)
    before, names = detector(images), list(detector.state_dict())
    prepare_detector(detector, channels_last=True, compile=False)
    assert detector.backbone[0].weight.is_contiguous(memory_format=torch.channels_last)
    assert list(detector.state_dict()) == names
    torch.testing.assert_close(detector(images), before)


def test_compile_takes_the_existing_parts(monkeypatch):
    compiled = []

    def compile_module(self):
        compiled.append(self)

    monkeypatch.setattr(nn.Module, "compile", compile_module)
    detector = TinyDetector()
    prepare_detector(detector, channels_last=False, compile=True)
    assert compiled == [detector.backbone]


@pytest.mark.parametrize(("strategy", "expected"), [("auto", True), ("ddp", True), ("fsdp", False)])
def test_channels_last_is_the_default_where_weights_are_whole(strategy, expected):
    detector = TinyDetector()
    prepare_detector(detector, channels_last=None, compile=False, strategy=strategy)
    weight = detector.backbone[0].weight
    assert weight.is_contiguous(memory_format=torch.channels_last) is expected


@pytest.mark.parametrize(
    ("gpus", "settings", "message"),
    [
        (0, {"accelerator": "gpu"}, "trainer.accelerator=gpu: PyTorch finds no GPU here"),
        (2, {"accelerator": "auto", "devices": 4}, "trainer.devices=4: there are 2 GPUs here"),
    ],
)
def test_missing_devices_are_named(tmp_path, monkeypatch, gpus, settings, message):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    with pytest.raises(UserError, match=message):
        cpu_trainer(tmp_path, **settings)


def test_weights_of_one_device_are_not_divided(tmp_path):
    with pytest.raises(UserError, match=r"trainer.devices=auto is one here: set trainer.devices=2"):
        cpu_trainer(tmp_path, strategy="fsdp", devices="auto")
