"""Training on eight pictures until they are known, the quickest proof that a detector learns."""

from __future__ import annotations

from pathlib import Path

import torch

from detkit import assembly
from detkit.assembly import Classes
from detkit.config.compose import compose

SMALL = [
    "model/backbone=timm",
    "model.backbone.model=cs3darknet_s",
    "data.batch_size=4",
    "data.workers=0",
    "data.limit_images=8",
    "data.validation_split=train",
    "data.reader.train_images=8",
    "data.reader.validation_images=1",
    "augmentation.train.mirror=null",
]


def overfit(words: list[str], folder: Path, *, epochs: int, learning_rate: float = 2e-3) -> float:
    """Train the detector of the words on eight pictures of `shapes`; its AP50 on the same eight."""
    config = compose("train", [*words, *SMALL, f"data.path={folder}"])
    data = assembly.build_data(config)
    classes = Classes(data.class_names, data.category_ids)
    torch.manual_seed(0)
    detector = assembly.build_detector(config["model"], classes)
    optimizer = torch.optim.AdamW(detector.parameters(), lr=learning_rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, learning_rate, total_steps=2 * epochs, pct_start=0.1
    )
    for _ in range(epochs):
        for batch in data.train_loader():
            optimizer.zero_grad()
            sum(detector.loss(batch).values()).backward()
            torch.nn.utils.clip_grad_norm_(detector.parameters(), 10.0)
            optimizer.step()
            schedule.step()
    detector.eval()
    metric = assembly.build_metric(config, classes)
    for batch in data.validation_loader():
        metric.update(batch.image_ids, detector.predict(batch), batch.original_targets)
    return metric.compute()["AP50"]
