"""Measure the speed of a configuration on this machine; the trained weights are discarded."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from itertools import islice
from typing import Any

import lightning.pytorch as pl
import torch

from detkit import assembly
from detkit.assembly import Classes
from detkit.benchmark.loading import endless, loader_times, sample_times
from detkit.benchmark.machine import machine_of, peak_memory
from detkit.benchmark.predicting import prediction_times
from detkit.benchmark.report import Findings
from detkit.benchmark.stepping import (
    StepTimes,
    TrainingStep,
    count_step,
    step_times,
    training_times,
)
from detkit.benchmark.timing import WARM_UP, Times
from detkit.benchmark.verdict import Settings, size_key
from detkit.data.collate import Collate
from detkit.data.detection_data import DetectionData, Loader
from detkit.data.detection_dataset import DetectionDataset, Key
from detkit.detectors.base import DetectorModule
from detkit.errors import UserError
from detkit.processes.frozen_training import initial_detector, prepare, trainer_settings, wiring_of
from detkit.structures import Batch
from detkit.text import counted
from detkit.training.compilation import compiles_loss
from detkit.training.devices import device_count
from detkit.training.trainer import (
    make_trainer,
    require_devices,
    seed_everything,
)
from detkit.training.workload import Extent, extent_of

LOGGER = logging.getLogger("detkit.benchmark")
_ONE_DEVICE = {"devices": 1, "num_nodes": 1, "strategy": "auto"}


def measure(config: Mapping[str, Any]) -> Findings:
    """Measure loader, training step and prediction of a checked configuration.

    Raises:
        UserError: As a training of it would at its start, or the GPU has too little memory.
    """
    seed_everything(config["seed"])
    trainer = _trainer(config)
    data = assembly.build_data(config)
    classes = Classes(data.class_names, data.category_ids, data.class_counts)
    LOGGER.info("data: %s", data.describe())
    detector = initial_detector(config, classes)
    try:
        return _measured(config, trainer, data, classes, detector)
    except torch.OutOfMemoryError as error:
        raise UserError(
            f"the GPU has too little memory for data.batch_size={config['data']['batch_size']}"
            ": lower it, or the size of the images in augmentation.train, or set "
            "trainer.precision=bf16."
        ) from error


def _measured(
    config: Mapping[str, Any],
    trainer: pl.Trainer,
    data: DetectionData,
    classes: Classes,
    detector: DetectorModule,
) -> Findings:
    count, device = config["steps"], trainer.strategy.root_device
    LOGGER.info("measuring the prediction")
    network, prediction, prediction_operations = prediction_times(
        detector, _single_images(data), device, count
    )
    LOGGER.info("measuring the training step")
    step = _step(config, trainer, data, classes, detector)
    loader = data.train_loader()
    dataset: Any = loader.dataset
    batches = [batch.to(device) for batch in _train_batches(data, dataset)]
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    parts = step_times(step, batches, count)
    memory = peak_memory(device)
    step_operations = count_step(step, batches[0])
    LOGGER.info("measuring the data")
    sample, decoding = sample_times(dataset, data.train_batches(), count)
    loading, training = _with_loader(loader, step, count)
    return Findings(
        subject=_subject(config, classes),
        machine=machine_of(device),
        settings=_settings(config),
        size=(batches[0].images.shape[-2], batches[0].images.shape[-1]),
        batch_size=len(batches[0]),
        loader=loading,
        sample=sample,
        decoding=decoding,
        step=parts,
        training=training,
        network=network,
        prediction=prediction,
        memory=memory,
        step_operations=step_operations,
        prediction_operations=prediction_operations,
        remarks=tuple(_remarks(config, parts)),
        extent=_extent(config, data),
    )


def _extent(config: Mapping[str, Any], data: DetectionData) -> Extent:
    """The work of the whole training, shared by all its devices."""
    trainer = config["trainer"]
    devices = device_count(trainer["devices"], trainer["accelerator"]) * trainer["num_nodes"]
    return extent_of(
        config,
        batches=-(-len(data.train_batches()) // devices),
        batch_size=data.batch_size,
        validation_images=len(data.validation_index),
    )


def _trainer(config: Mapping[str, Any]) -> pl.Trainer:
    """A trainer for Lightning's choice of device and precision; it trains nothing."""
    settings = trainer_settings(config)
    require_devices(settings["devices"], settings["accelerator"])
    settings = {**settings, **_ONE_DEVICE}
    return make_trainer(run_folder=config["run_folder"], callbacks=[], loggers=[], **settings)


def _step(
    config: Mapping[str, Any],
    trainer: pl.Trainer,
    data: DetectionData,
    classes: Classes,
    detector: DetectorModule,
) -> TrainingStep:
    prepare(detector, config)
    wiring = wiring_of(config, config["run_folder"], classes)
    return TrainingStep(
        detector,
        optimizer=assembly.build("optimizer", config["optimizer"], wiring, ("optimizer",)),
        trainer=trainer,
        total_batch=data.batch_size * trainer.accumulate_grad_batches,
        compile_loss=config["trainer"]["compile"] and compiles_loss(detector),
    )


def _single_images(data: DetectionData) -> list[Batch]:
    """A few validation images, each as a batch."""
    index, collate = data.validation_index, Collate(pad_multiple=data.pad_multiple)
    dataset = data.plain_dataset(index)
    return [collate([dataset[Key(0, position)]]) for position in range(min(WARM_UP, len(index)))]


def _train_batches(data: DetectionData, dataset: DetectionDataset) -> list[Batch]:
    """One batch per warm-up step, so that no image size is new after it; starts no workers."""
    collate = Collate(pad_multiple=data.pad_multiple)
    keys = islice(endless(data.train_batches()), WARM_UP)
    return [collate([dataset[key] for key in batch]) for batch in keys]


def _with_loader(loader: Loader, step: TrainingStep, count: int) -> tuple[Times, Times]:
    """Seconds per image of the loader alone, and of loader and step together."""
    batches = endless(loader)
    loading = loader_times(loader, batches, count)
    LOGGER.info("measuring both at once")
    ready = loader.num_workers * (loader.prefetch_factor or 0)
    return loading, training_times(step, batches, ready, count)


def _settings(config: Mapping[str, Any]) -> Settings:
    trainer = config["trainer"]
    return Settings(
        workers=config["data"]["workers"],
        precision=trainer["precision"],
        compile=trainer["compile"],
        accelerator=trainer["accelerator"],
        devices=device_count(trainer["devices"], trainer["accelerator"]),
        size_key=size_key(config["augmentation"]["train"]),
    )


def _subject(config: Mapping[str, Any], classes: Classes) -> str:
    data, trainer = config["data"], config["trainer"]
    return (
        f"{config['run_name']}: {counted(len(classes.names), 'class')}, data.batch_size="
        f"{data['batch_size']}, data.workers={data['workers']}, "
        f"trainer.precision={trainer['precision']}; medians of {config['steps']} times"
    )


def _remarks(config: Mapping[str, Any], parts: StepTimes) -> list[str]:
    trainer = config["trainer"]
    remarks = []
    if trainer["devices"] != 1 or trainer["num_nodes"] != 1:
        remarks.append(
            "all rates are for one device, without the communication between devices; each device "
            "has its own loader."
        )
    if parts.accumulated > 1:
        remarks.append(
            f"the whole step includes 1/{parts.accumulated} of an optimizer step "
            "(trainer.accumulate_grad_batches)."
        )
    if config["weights"] is None:
        remarks.append(
            "the detector is untrained, so post-processing has little to do; weights=RUN measures "
            "it with a trained detector."
        )
    return remarks
