"""Script for each rank of `test_stopping_ranks.py`: trainings that one rank stops."""

import json
import math
import os
import sys
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn
from training_fakes import Batches, TinyDetector, cpu_trainer, tiny_module

from detkit.errors import UserError
from detkit.structures import PaddedTargets, Target
from detkit.training.callbacks.batch_check import BatchCheck
from detkit.training.callbacks.non_finite import NonFinite
from detkit.training.callbacks.unused_parameters import UnusedParameters
from detkit.training.fit import fit


class Spoilt(TinyDetector):
    """NaN for batch 3, which rank 1 has second."""

    def loss(self, batch):
        value = math.nan if batch.image_ids[0] // 2 == 3 else 0.0
        return {**super().loss(batch), "loss/extra": self.head.weight.sum() * 0 + value}


class Steep(TinyDetector):
    """A loss of 0 whose gradient is NaN for batch 3, in one parameter."""

    def loss(self, batch):
        distance = (self.head.weight * 0).abs().sum() if batch.image_ids[0] // 2 == 3 else 0.0
        extra = torch.as_tensor(distance).sqrt() + self.head.weight.sum() * 0
        return {**super().loss(batch), "loss/extra": extra}


class Unused(TinyDetector):
    def __init__(self):
        super().__init__()
        self.extra = nn.Linear(1, 1)


if __name__ == "__main__":
    folder, rank, (case, strategy) = Path(sys.argv[1]), int(os.environ["RANK"]), sys.argv[2:]
    detector = {"unused": Unused, "gradient": Steep}.get(case, Spoilt)()
    data = Batches(rank, rank + 2)
    if case == "range" and rank == 1:
        boxes, marks = torch.zeros(1, 4), torch.tensor([False])
        wrong = Target(boxes, torch.tensor([9]), marks)
        targets = PaddedTargets.of([wrong, *data.batches[0].targets.split()[1:]])
        data.batches[0] = replace(data.batches[0], targets=targets)
    watching = {
        "loss": NonFinite(run_folder=str(folder)),
        "gradient": NonFinite(run_folder=str(folder)),
        "range": BatchCheck(num_classes=2),
        "unused": UnusedParameters(),
    }
    trainer = cpu_trainer(
        folder,
        devices=2,
        strategy=strategy,
        max_epochs=1,
        callbacks=[watching[case]],
    )
    said = ""
    try:
        fit(tiny_module(detector=detector), trainer, data)
    except (UserError, RuntimeError) as error:
        said = f"{type(error).__name__}: {error}"
    (folder / f"rank{rank}.json").write_text(json.dumps(said))
    os._exit(0)  # PyTorch's reducer is in the middle of a step
