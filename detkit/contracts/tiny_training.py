"""A training of a few steps with a minimal detector, data set and metric."""

from __future__ import annotations

import contextlib
import io
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

import lightning.pytorch as pl
import torch
from lightning.pytorch.loggers.logger import Logger
from torch import Tensor, nn

from detkit.contracts import scenes
from detkit.contracts.case import CLASS_NAMES
from detkit.detectors.base import DetectorModule
from detkit.evaluation import MetricBase
from detkit.optimizers.sgd import SGD
from detkit.schedules.constant import Constant
from detkit.structures import Batch, Detections
from detkit.training.module import DetectionModule
from detkit.training.trainer import make_trainer

STEPS = 3  # of an epoch


class TinyDetector(DetectorModule):
    """Learns the brightness of an image, with dropout, so that random numbers matter.

    Attributes:
        history: The loss of each training step.
    """

    def __init__(self) -> None:
        super().__init__()
        self.backbone = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU())
        self.head = nn.Sequential(nn.Dropout(0.3), nn.Linear(4, 1))
        self.history: list[float] = []

    def forward(self, images: Tensor) -> Tensor:
        """(B,) the predicted brightness of images (B, 3, H, W)."""
        brightness: Tensor = self.head(self.backbone(images.float() / 255).mean(dim=(2, 3)))
        return brightness.squeeze(1)

    def loss(self, batch: Batch) -> dict[str, Tensor]:
        """The error of the predicted brightness."""
        error = self(batch.images) - batch.images.float().mean(dim=(1, 2, 3)) / 255
        losses = {
            "loss/box": error.square().mean(),
            "loss/classification": 0.1 * error.abs().mean(),
        }
        self.history.append(float(sum(losses.values())))
        return losses

    def predict(self, batch: Batch) -> list[Detections]:
        """One detection in each image; its score is the brightness."""
        box, label = torch.tensor([[2.0, 2, 30, 30]]), torch.zeros(1, dtype=torch.int64)
        return [Detections(box, score.clamp(0, 1)[None], label) for score in self(batch.images)]


class TinyMetric(MetricBase):
    """AP is the mean score."""

    def __init__(self) -> None:
        super().__init__(CLASS_NAMES, {"AP": "the mean score"})

    def compute(self) -> dict[str, float]:
        """The mean score, under the names that callbacks read."""
        scores = [float(image.scores.mean()) for image in self.images.by_id().values()]
        mean = sum(scores) / max(len(scores), 1)
        return {"AP": mean, "AP50": mean}


class Batches:
    """A loader of a few fixed batches."""

    def __init__(self, count: int) -> None:
        self.batches = [scenes.batch(scenes.usual_targets(), seed=n) for n in range(count)]

    def __len__(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[Batch]:
        return iter(self.batches)


class Training:
    """A training on the CPU with `STEPS` steps per epoch and a validation after each epoch."""

    def __init__(
        self,
        folder: Path,
        *,
        callbacks: Sequence[pl.Callback] = (),
        loggers: Sequence[Logger] = (),
        epochs: int = 2,
    ) -> None:
        """Build the training.

        Args:
            folder: The run folder.
            callbacks: Its callbacks.
            loggers: Its loggers.
            epochs: Number of epochs.
        """
        torch.manual_seed(0)  # Lightning's seed_everything sets environment variables
        self.detector = TinyDetector()
        self.module = DetectionModule(
            detector=self.detector,
            optimizer=SGD(learning_rate=0.05),
            schedule=Constant(),
            metric=TinyMetric(),
            checkpoint_record={"version": "0", "config": {}, "plugins": [], "class_names": []},
            batch_size=2,
        )
        self.trainer = make_trainer(
            run_folder=str(folder),
            callbacks=callbacks,
            loggers=loggers,
            max_epochs=epochs,
            accelerator="cpu",
            devices=1,
            num_nodes=1,
            strategy="auto",
            precision=32,
            accumulate_grad_batches=1,
            gradient_clip_norm=None,
            sync_batchnorm=False,
            deterministic="none",
            validate_every=1,
            limit_train_batches=None,
            limit_validation_batches=None,
            log_every=1,
        )

    def run(self, resume: Path | None = None) -> list[float]:
        """Train without printing; returns the loss of each step.

        Args:
            resume: The checkpoint to resume from.
        """
        with quiet():
            self.trainer.fit(
                self.module,
                Batches(STEPS),
                Batches(1),
                ckpt_path=None if resume is None else str(resume),
                weights_only=True,
            )
        return self.detector.history


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Discard everything that is printed or logged."""
    discarded, disabled_level = io.StringIO(), logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with contextlib.redirect_stdout(discarded), contextlib.redirect_stderr(discarded):
            yield
    finally:
        logging.disable(disabled_level)
