"""A training on mosaics, stopped within an epoch, resumes with the same batches."""

import os
import signal

import pytest
import torch
from lightning.pytorch import Callback
from training_fakes import batches, cpu_trainer, tiny_module

from detkit.data.detection_data import DetectionData
from detkit.data.readers.coco_reader import CocoReader
from detkit.data.shapes import render_shapes
from detkit.data.transforms.mixing import CopyPaste, Mixup
from detkit.data.transforms.mosaic import Mosaic
from detkit.data.transforms.perspective import RandomPerspective
from detkit.errors import Stopped
from detkit.image_sampling.repeat_factor import RepeatFactor
from detkit.runs.metrics_logger import read_metrics
from detkit.runs.training_position import Position, read_position
from detkit.training.callbacks.checkpoints import Checkpoints
from detkit.training.fit import fit
from detkit.training.trainer import seed_everything

EPOCHS = 3  # the last one without mosaic


class Watch(Callback):
    """Keeps the images of each batch, and stops after one."""

    def __init__(self, stop_after=None):
        self.stop_after, self.seen = stop_after, []

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx):
        self.seen.append((trainer.current_epoch, batch_idx, batch.images.numpy().tobytes()))
        if len(self.seen) == self.stop_after:
            os.kill(os.getpid(), signal.SIGINT)


@pytest.fixture(scope="module")
def shapes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "shapes"
    render_shapes(folder, train_images=8, validation_images=1, image_size=48, seed=0)
    return folder


def loader(folder, start):
    steps = {
        "paste": CopyPaste(),
        "mosaic": Mosaic(height=32, width=32),
        "perspective": RandomPerspective(height=16, width=16),
        "mixup": Mixup(probability=0.5),
    }
    data = DetectionData(
        path=str(folder),
        reader=CocoReader(),
        sampling=RepeatFactor(threshold=1.0),
        train_transforms=steps,
        evaluation_transforms={},
        seed=0,
        mixing_epochs=EPOCHS - 1,
        batch_size=2,
        workers=0,
        pad_multiple=1,
        multi_scale=[0.5, 1.0],
        multi_scale_every=2,
    )
    return data.train_loader(start)


def train(folder, data, watch, resume=None):
    start = read_position(resume) if resume else Position()
    trainer = cpu_trainer(
        folder,
        max_epochs=EPOCHS,
        log_every=1,
        callbacks=[Checkpoints(run_folder=str(folder)), watch],
    )
    seed_everything(0)
    fit(tiny_module(), trainer, loader(data, start[:2]), batches(1), resume=resume)
    weights = torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    return {name: value.numpy().tobytes() for name, value in weights.items()}


@pytest.mark.parametrize(
    "stop_after",
    [pytest.param(2, marks=pytest.mark.slow), 7, pytest.param(11, marks=pytest.mark.slow)],
)
def test_training_on_mosaics_resumes_bit_identically(tmp_path, shapes, stop_after):  # pain 18
    whole, before, after = Watch(), Watch(stop_after), Watch()
    weights = train(tmp_path / "whole", shapes, whole)
    with pytest.raises(Stopped):
        train(tmp_path / "parts", shapes, before)
    resume = str(tmp_path / "parts" / "checkpoints" / "last.ckpt")
    assert train(tmp_path / "parts", shapes, after, resume=resume) == weights
    assert before.seen + after.seen == whole.seen
    assert len(whole.seen) == EPOCHS * len(loader(shapes, (0, 0)))
    numbers = [read_metrics(tmp_path / run / "metrics.csv") for run in ("whole", "parts")]
    assert numbers[0] == numbers[1]
