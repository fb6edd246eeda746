"""Trainings, detectors and loaders for programs."""

import logging
import os
import signal
import sys
import warnings
from pathlib import Path

import lightning.pytorch as pl
import pytest
import torch
from PIL import Image
from tiny_run import TINY

import detkit
from detkit.processes import frozen_training
from detkit.runs.checkpoint import read_checkpoint
from detkit.structures import Detections
from detkit.training.trainer import quiet_lightning, seed_everything

SMALL = [*TINY, "data.reader.train_images=2", "data.reader.validation_images=2"]


@pytest.fixture
def config(tmp_path, monkeypatch) -> detkit.Config:
    monkeypatch.chdir(tmp_path)
    return detkit.compose([*SMALL, "data=shapes", "data.path=shapes", "data.batch_size=2"])


def test_a_training_returns_its_run(tiny_run):
    assert tiny_run.best_checkpoint.is_file()
    assert (tiny_run.folder / "report.html").is_file()


def test_checkpoints_hold_the_class_counts_for_evaluations(tiny_run):
    counts = read_checkpoint(tiny_run.best_checkpoint).class_counts
    assert (counts.images, len(counts.objects)) == (8, len(tiny_run.class_names))
    limits = f"metric.frequency_limits=[{min(counts.images_with_class)},100]"
    numbers = detkit.load(tiny_run.folder, device="cpu").evaluate(overrides=[limits])
    assert {"AP_rare", "AP_common"} <= numbers.keys()


def test_a_training_takes_a_configuration_and_restores_signal_handlers(config, monkeypatch):
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    seen = []
    monkeypatch.setattr(frozen_training, "run", seen.append)
    run = detkit.train(config)
    assert seen == [run.folder]
    assert run.config == {**config.to_dict(), **_absolute(run, config)}
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def _absolute(run, config):
    path = str(run.folder.parents[1] / "shapes")
    return {"run_folder": str(run.folder), "data": {**config["data"], "path": path}}


def test_a_failed_training_raises_and_leaves_no_folder(config, monkeypatch):
    def fail(folder):
        raise detkit.UserError("no such thing")

    monkeypatch.setattr(frozen_training, "run", fail)
    with pytest.raises(detkit.UserError, match="no such thing"):
        detkit.train([*config.overrides, "run_folder=runs/failed"])
    assert not Path("runs").exists()


def test_a_mask_head_without_masks_is_refused_before_a_folder_is_made(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for split in ("train", "val"):
        picture = Path(f"data/images/{split}/a.png")
        picture.parent.mkdir(parents=True)
        Image.new("RGB", (40, 30)).save(picture)
        label = Path(f"data/labels/{split}/a.txt")
        label.parent.mkdir(parents=True)
        label.write_text("0 0.5 0.5 0.5 0.5\n")
    Path("data/data.yaml").write_text("names: {0: dog}\n")
    monkeypatch.setattr(frozen_training, "run", lambda _: pytest.fail("a folder was made"))
    words = ["model=mask_rcnn", *SMALL[1:4], "data.path=data", "run_folder=runs/new"]
    with pytest.raises(detkit.DataError, match=r"none of the 1 training object in .* has a mask"):
        detkit.train(words)
    assert not Path("runs").exists()


def test_several_machines_are_refused(config):
    with pytest.raises(detkit.UserError, match="uses one machine; for several, type `detkit train"):
        detkit.train([*config.overrides, "trainer.num_nodes=2"])


def test_a_rank_of_torchrun_is_refused(config, monkeypatch):
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "x")
    with pytest.raises(detkit.UserError, match="torchrun or srun started this one"):
        detkit.train(config)


def test_a_plain_loop_trains_a_built_detector(config):
    torch.manual_seed(0)
    train, validation, class_names, _ = detkit.data(config)
    detector = detkit.build(config)
    optimizer = torch.optim.AdamW(detector.parameters(), 1e-3)
    for batch in train:
        loss = sum(detector.loss(batch).values())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    detections = detector.eval().predict(next(iter(validation)))
    assert len(class_names) == 6
    assert loss.isfinite()
    assert all(isinstance(d, Detections) for d in detections)


def test_a_lightning_trainer_of_the_user_trains_a_built_detector(config, tmp_path):
    class Module(pl.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.detector = detkit.build(config, class_names=[f"class {i}" for i in range(6)])

        def training_step(self, batch, _):
            return sum(self.detector.loss(batch).values())

        def configure_optimizers(self):
            return torch.optim.SGD(self.parameters(), 1e-3)

    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    quiet = {"logger": False, "enable_progress_bar": False, "enable_checkpointing": False}
    trainer = pl.Trainer(max_steps=1, accelerator="cpu", default_root_dir=tmp_path, **quiet)
    trainer.fit(Module(), detkit.data(config).train)
    assert trainer.global_step == 1


def test_an_epoch_of_the_loader_depends_only_on_its_number(config):
    loaders = [detkit.data(config).train for _ in range(3)]
    for loader, epoch in zip(loaders, (1, 1, 2), strict=True):
        loader.batch_sampler.set_epoch(epoch)
    first, again, other = (next(iter(loader)).images for loader in loaders)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_a_training_leaves_the_settings_of_the_program_as_they_were(config, monkeypatch):
    def settings():
        names = ("detkit", "lightning", "lightning.pytorch", "lightning.fabric")
        return (
            [logging.getLogger(name).level for name in names],
            list(warnings.filters),
            {name: value for name, value in os.environ.items() if name.startswith("PL_")},
        )

    monkeypatch.setattr(frozen_training, "run", lambda folder: _as_a_training_does())
    before = settings()
    detkit.train(config)
    assert settings() == before


def _as_a_training_does():
    quiet_lightning()
    seed_everything(3)


def test_a_program_that_logs_to_the_terminal_shows_messages_once(config, monkeypatch, capsys):
    console = logging.StreamHandler(sys.stderr)
    logging.getLogger().addHandler(console)
    monkeypatch.setattr(frozen_training, "run", lambda folder: _log_in_detkit())
    try:
        detkit.train(config)
    finally:
        logging.getLogger().removeHandler(console)
    output = capsys.readouterr()
    assert (output.out + output.err).count("run folder: here") == 1
    assert not console.filters


def _log_in_detkit():
    logging.getLogger("detkit.run").info("run folder: here")


def test_losses_know_the_class_counts_of_the_training_images(config):
    weights = "model.head.classification_loss.class_weights=effective_numbers"
    detector = detkit.build(detkit.compose([*config.overrides, weights]))
    by_label = detector.head.classification_loss.class_weights.by_label
    assert len({round(weight, 3) for weight in by_label.tolist()}) > 1
