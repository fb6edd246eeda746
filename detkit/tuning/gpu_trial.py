"""Measure the largest batch on a GPU: `python -m detkit.tuning.gpu_trial FOLDER`.

A program of its own, so that it leaves no trace in the training that follows: neither random
states nor weights, CUDA memory or the choices of cuDNN.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import lightning.pytorch as pl
import torch
from torch.nn import functional as F

from detkit import assembly
from detkit.assembly import Classes
from detkit.benchmark.machine import machine_of
from detkit.benchmark.stepping import TrainingStep
from detkit.data.collate import Collate
from detkit.data.detection_data import DetectionData
from detkit.detectors.base import DetectorModule
from detkit.errors import UserError
from detkit.processes.frozen_training import initial_detector, prepare, trainer_settings, wiring_of
from detkit.runs.log_file import log_to, report_problems_only
from detkit.structures import Sample
from detkit.text import memory_size
from detkit.training.trainer import make_trainer, seed_everything
from detkit.tuning.largest_batch import fits_into_memory, largest_batch

REQUEST, RESULT = "request.json", "result.json"
MARGIN = 0.1  # share of the GPU's memory that stays free
_SAMPLES = 32  # of the first epoch, to find the largest images
_STEPS = 2  # the second one has the state of the optimizer
_ONE_DEVICE = {"devices": 1, "num_nodes": 1, "strategy": "auto", "sync_batchnorm": False}


class Trial(NamedTuple):
    """What a trial needs.

    Attributes:
        config: The configuration of the training.
        most: The largest batch to try.
    """

    config: dict[str, Any]
    most: int


def largest_images(data: DetectionData) -> list[Sample]:
    """Training samples, enlarged by grey to the largest height and width among them.

    They are the first samples of an epoch, at the largest scale of multi_scale; half of them are
    replaced by the images with the most objects, which come first.
    """
    keys = next(iter(data.train_batches()))
    objects = torch.from_numpy(data.train_index.object_offsets).diff()
    crowded = objects.argsort(descending=True)[: len(keys) // 2].tolist()
    positions = [*crowded, *(key.position for key in keys)][: len(keys)]
    scale = max(data.multi_scale or [1.0])
    dataset = data.train_dataset()
    samples = [
        dataset[key._replace(position=position, scale=scale)]
        for key, position in zip(keys, positions, strict=True)
    ]
    height, width = (max(sides) for sides in zip(*(s.size for s in samples), strict=True))
    return [
        replace(s, image=F.pad(s.image, (0, width - s.size[1], 0, height - s.size[0])))
        for s in samples
    ]


def measure(trial: Trial) -> tuple[int, str]:
    """The largest batch with which the training step runs in 90 % of the GPU's memory.

    With trainer.compile, it measures steps without a graph, which need as much memory or more:
    compiling each batch size would take an hour.

    Returns:
        Its images, and the name of the GPU.

    Raises:
        UserError: As a training would at its start.
    """
    seed_everything(trial.config["seed"])
    data_block = {**trial.config["data"], "batch_size": _SAMPLES}
    trainer_block = {**trial.config["trainer"], "compile": False}
    config = {**trial.config, "data": data_block, "trainer": trainer_block}
    settings = {**trainer_settings(config), **_ONE_DEVICE}
    trainer = make_trainer(run_folder=".", callbacks=[], loggers=[], **settings)
    if trainer.strategy.root_device.type == "cuda":
        torch.cuda.set_per_process_memory_fraction(1 - MARGIN, trainer.strategy.root_device)
    data = assembly.build_data(config)
    samples, collate = largest_images(data), Collate(pad_multiple=data.pad_multiple)
    classes = Classes(data.class_names, data.category_ids, data.class_counts)
    step = _step(config, trainer, classes, initial_detector(config, classes))

    def train(images: int) -> None:
        batch = collate([samples[number % len(samples)] for number in range(images)])
        for _ in range(_STEPS):
            step.backward(step.forward(batch.to(step.device)))
            step.update()

    return largest_batch(fits_into_memory(train), trial.most), _name(step.device)


def _name(device: torch.device) -> str:
    machine = machine_of(device)
    memory = "" if machine.memory is None else f" ({memory_size(machine.memory, digits=0)})"
    return f"{machine.name}{memory}"


def _step(
    config: dict[str, Any], trainer: pl.Trainer, classes: Classes, detector: DetectorModule
) -> TrainingStep:
    prepare(detector, config)
    wiring = wiring_of(config, ".", classes)
    return TrainingStep(
        detector,
        optimizer=assembly.build("optimizer", config["optimizer"], wiring, ("optimizer",)),
        trainer=trainer,
        total_batch=1,
    )


def main(folder: Path) -> None:
    """Read the request in a folder, and write the number of images or an error beside it."""
    log_to(None)
    report_problems_only()  # the training repeats the rest
    trial = Trial(**json.loads((folder / REQUEST).read_text(encoding="utf-8")))
    try:
        images, device = measure(trial)
        result: dict[str, Any] = {"images": images, "device": device}
    except UserError as error:
        result = {"error": str(error)}
    (folder / RESULT).write_text(json.dumps(result), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
