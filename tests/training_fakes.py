"""The smallest possible detector, data and metric."""

import math

import torch
from torch import nn

from detkit.optimizers.sgd import SGD
from detkit.schedules.cosine import Cosine
from detkit.structures import Batch, Detections, PaddedTargets, Target
from detkit.training.module import DetectionModule
from detkit.training.trainer import make_trainer, seed_everything

RECORD = {
    "version": "0",
    "config": {"model": {"name": "tiny"}, "lr": 0.1, "list": [1, None, True]},
    "plugins": [],
    "class_names": ["disc", "square"],
    "category_ids": [1, 2],
}


class TinyDetector(nn.Module):
    """Says how bright the image is; one detection an image, its score the answer."""

    def __init__(self):
        super().__init__()
        self.backbone = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU())
        self.head = nn.Linear(4, 1)

    def forward(self, images):
        return self.head(self.backbone(images.float() / 255).mean(dim=(2, 3))).squeeze(1)

    def loss(self, batch):
        error = self(batch.images) - batch.images.float().mean(dim=(1, 2, 3)) / 255
        return {"loss/box": (error**2).mean(), "loss/bias": 0.1 * self.head.bias.abs().sum()}

    def predict(self, batch):
        box = torch.tensor([[0.0, 0.0, 4.0, 4.0]])
        return [
            Detections(box, score[None], torch.zeros(1, dtype=torch.int64))
            for score in self(batch.images)
        ]


class TinyMetric:
    """AP is the mean score, NaN without images; class `square` never has objects."""

    def __init__(self):
        self.scores = {}

    def update(self, image_ids, detections, targets):
        for image_id, found, _target in zip(image_ids, detections, targets, strict=True):
            assert found.scores.device.type == "cpu"
            self.scores[image_id] = found.scores.double().mean().item()

    def state(self):
        return {"scores": self.scores}

    def merge(self, states):
        for state in states:
            self.scores.update(state["scores"])

    def compute(self):
        values = list(self.scores.values())
        mean = sum(values) / len(values) if values else math.nan
        return {"AP": mean, "AP50": abs(mean), "AP/disc": mean, "AP/square": math.nan}

    def reset(self):
        self.scores = {}


def batch(number, size=2):
    generator = torch.Generator().manual_seed(number)
    return Batch(
        images=torch.randint(0, 256, (size, 3, 8, 8), dtype=torch.uint8, generator=generator),
        image_sizes=[(8, 8)] * size,
        targets=PaddedTargets.of([Target.empty()] * size),
        original_targets=[Target.empty()] * size,
        image_ids=[number * size + i for i in range(size)],
        paths=[f"image{number * size + i}.png" for i in range(size)],
        original_sizes=[(8, 8)] * size,
        to_image=torch.eye(3, dtype=torch.float64).expand(size, 3, 3),
    )


class Batches:
    """A loader of fixed batches."""

    def __init__(self, *numbers):
        self.batches = [batch(number) for number in numbers]

    def __len__(self):
        return len(self.batches)

    def __iter__(self):
        return iter(self.batches)


def batches(count=4):
    return Batches(*range(count))


def tiny_module(**changes):
    seed_everything(0)
    parts = {
        "detector": TinyDetector(),
        "optimizer": SGD(learning_rate=0.1),
        "schedule": Cosine(),
        "metric": TinyMetric(),
        "checkpoint_record": RECORD,
        "batch_size": 2,
    }
    return DetectionModule(**{**parts, **changes})


def cpu_trainer(folder, **changes):
    settings = {
        "run_folder": str(folder),
        "callbacks": [],
        "loggers": [],
        "max_epochs": 2,
        "accelerator": "cpu",
        "devices": 1,
        "num_nodes": 1,
        "strategy": "auto",
        "precision": 32,
        "accumulate_grad_batches": 1,
        "gradient_clip_norm": None,
        "sync_batchnorm": False,
        "deterministic": "none",
        "validate_every": 1,
        "limit_train_batches": None,
        "limit_validation_batches": None,
        "log_every": 2,
    }
    return make_trainer(**{**settings, **changes})
