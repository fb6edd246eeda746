"""One training from a frozen run folder: build, fit, measure the best checkpoint, report."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch.distributed
from torch import Tensor, nn

from detkit import assembly, registry
from detkit.assembly import Classes
from detkit.data.detection_data import DetectionData
from detkit.data.unreadable_images import describe_unreadable
from detkit.detectors.base import DetectorModule
from detkit.detectors.freezing import freeze, read_freezing
from detkit.errors import Stopped
from detkit.inference.detecting import choose_device, detect
from detkit.inference.measuring import measure
from detkit.inference.stored_matches import store_matches
from detkit.interfaces import Schedule
from detkit.interruption import StopSignals, signal_name
from detkit.processes.failures import plain_failures
from detkit.processes.rank_environment import rank_number
from detkit.runs.changed_weights import change_weights
from detkit.runs.checkpoint import find_checkpoint, read_checkpoint, require_fit
from detkit.runs.checkpoint_record import Record, plugin_names
from detkit.runs.data_fingerprint import fingerprint
from detkit.runs.environment import environment, record_start
from detkit.runs.frozen_config import read_frozen
from detkit.runs.layout import RunFolder
from detkit.runs.log_file import log_to, report_problems_only
from detkit.runs.resume import checkpoint_to_resume, resume_hint
from detkit.runs.training_lock import training_lock
from detkit.runs.training_position import (
    Position,
    read_position,
    require_same_batches,
    require_same_data,
)
from detkit.training.compilation import compilation_text, compiles_loss
from detkit.training.fit import closing_loggers, fit
from detkit.training.logger_content import TrainingResult, log_result
from detkit.training.mixing_end import mixing_end
from detkit.training.module import DetectionModule
from detkit.training.svm_fitting import fit_svms, require_svm_package
from detkit.training.trainer import make_trainer, prepare_detector, seed_everything
from detkit.training.training_advice import advice, setup_of
from detkit.training.unfreezing import FreezeUntil
from detkit.version import __version__
from detkit.visualization.plots import plot_curves
from detkit.visualization.report import write_report
from detkit.weights.initial_values import initialise
from detkit.weights.start import start_from

log = logging.getLogger("detkit.run")
_DETECTOR_SETTINGS = ("channels_last", "compile")  # in the `trainer` block


def run(folder: Path) -> dict[str, float]:
    """Train from the configuration in a run folder, measure the best checkpoint, write the report.

    Returns:
        The metrics of the best checkpoint on the validation split.

    Raises:
        UserError: The configuration, the data, the disk or the memory does not allow it.
        Stopped: The user ended the training.
    """
    config = read_frozen(folder)
    require_svm_package(config["model"])
    config["ckpt"] = checkpoint_to_resume(config["ckpt"], folder)

    def stop(number: int) -> None:
        raise Stopped(f"stopped by {signal_name(number)}. {resume_hint(folder)}", number)

    # During the training itself, StopOnSignal handles signals.
    with StopSignals(stop), plain_failures(folder):
        return _train(config, folder)


def _train(config: dict[str, Any], folder: Path) -> dict[str, float]:
    log_to(folder, rank_number())
    seed_everything(config["seed"])
    resumed = read_checkpoint(Path(config["ckpt"])) if config["ckpt"] else None
    data = assembly.build_data(config)
    classes = Classes(data.class_names, data.category_ids, data.class_counts)
    log.info("run folder: %s", folder)
    log.info("data: %s", data.describe())
    fingerprints = {
        "train": fingerprint(data.train_index),
        "validation": fingerprint(data.validation_index),
    }
    trainer = _trainer(config, folder, classes)
    position = Position()
    if resumed is not None:
        require_same_data(resumed.record.data or {}, fingerprints, resumed.path)
        position = read_position(resumed.path)
        require_same_batches(position, data.batch_size, trainer.world_size)
        log.info("%s", position.resume_text(config["trainer"]["max_epochs"]))
    module = training_module(config, folder, classes, data.batch_size, fingerprints)
    loaders = data.train_loader(skip=position[:2]), data.validation_loader()
    if not trainer.is_global_zero:
        report_problems_only()  # an earlier problem would occur on rank 0 too
        with closing_loggers(trainer):
            fit(module, trainer, *loaders, resume=config["ckpt"])
        return {}
    batches = math.ceil(len(loaders[0]) / trainer.world_size)
    setup = setup_of(config, len(data.train_index), module.detector, batches)
    for line in advice(setup) if resumed is None else ():
        log.warning("%s", line)
    with training_lock(folder), closing_loggers(trainer):
        where = str(position) if resumed else None
        record_start(folder, environment(config["seed"], fingerprints), where)
        fit(module, trainer, *loaders, resume=config["ckpt"])
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()  # so that one rank measures all images
        return _finish(config, folder, data, classes, trainer)


def _trainer(config: dict[str, Any], folder: Path, classes: Classes) -> pl.Trainer:
    wiring = wiring_of(config, str(folder), classes)
    callbacks = assembly.build_labelled("callback", config["callbacks"], wiring, ("callbacks",))
    settings = {} if config["logger"] is None else {"logger": config["logger"]}
    loggers = assembly.build_labelled("logger", settings, wiring, ())
    return make_trainer(
        run_folder=str(folder),
        callbacks=[*unfreezing(config), *callbacks.values(), *mixing_end(config)],
        loggers=list(loggers.values()),
        **trainer_settings(config),
    )


def unfreezing(config: Mapping[str, Any]) -> list[pl.Callback]:
    """The callback of `freeze.until`: before the others, which may look at what trains."""
    freezing = read_freezing(config["freeze"])
    return [] if freezing is None or freezing.until is None else [FreezeUntil(freezing)]


def trainer_settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """The `trainer` block without the settings of the detector."""
    return {k: v for k, v in config["trainer"].items() if k not in _DETECTOR_SETTINGS}


def initial_detector(config: Mapping[str, Any], classes: Classes) -> DetectorModule:
    """Build the detector of a training with its initial weights."""
    detector = assembly.build_detector(
        config["model"], classes, fetch_weights=config["ckpt"] is None
    )
    if config["init"] is not None and config["ckpt"] is None:
        log.info("%s", initialise(detector, config["init"], config["model"]))
    if config["weights"] is not None and config["ckpt"] is None:
        log.info("%s", start_from(detector, config["weights"], config["model"], classes))
    freezing = read_freezing(config["freeze"])
    if freezing is not None and freezing.until is None:  # else a callback freezes and unfreezes
        log.info("%s", freeze(detector, freezing))
    return detector


def prepare(detector: nn.Module, config: Mapping[str, Any]) -> None:
    """Apply the memory format and compilation of the `trainer` block to a detector, in place."""
    trainer = config["trainer"]
    settings = {name: trainer[name] for name in _DETECTOR_SETTINGS}
    prepare_detector(detector, **settings, strategy=trainer["strategy"])


def training_module(
    config: Mapping[str, Any],
    folder: str | Path,
    classes: Classes,
    batch_size: int,
    fingerprints: dict[str, str],
    *,
    schedule: Schedule | None = None,
) -> DetectionModule:
    """Build detector, optimizer, schedule and metric with the initial weights.

    Args:
        config: The configuration.
        folder: The run folder.
        classes: What the detector detects.
        batch_size: Images per batch on one device.
        fingerprints: Those of the data, for checkpoints.
        schedule: Replaces the configured schedule.
    """
    detector = initial_detector(config, classes)
    prepare(detector, config)
    if config["trainer"]["compile"]:
        log.info("%s", compilation_text(detector))
    millions = sum(parameter.numel() for parameter in detector.parameters()) / 1e6
    log.info("model: %s, %.1f M parameters", config["run_name"], millions)
    wiring = wiring_of(config, str(folder), classes)
    record = Record(
        config=json.loads(json.dumps(config)),
        class_names=classes.names,
        category_ids=classes.category_ids,
        version=__version__,
        plugins=plugin_names(registry.plugins_of(config)),
        data=fingerprints,
        class_counts=classes.counts,
    )
    return DetectionModule(
        detector=detector,
        optimizer=assembly.build("optimizer", config["optimizer"], wiring, ("optimizer",)),
        schedule=schedule
        or assembly.build("scheduler", config["scheduler"], wiring, ("scheduler",)),
        metric=assembly.build_metric(config, classes),
        checkpoint_record=record.plain(),
        batch_size=batch_size,
        compile_loss=config["trainer"]["compile"] and compiles_loss(detector),
    )


def wiring_of(config: Mapping[str, Any], folder: str, classes: Classes) -> dict[str, Any]:
    """Constructor arguments of parts that the run supplies."""
    return {**classes.wiring(), "run_folder": folder, "seed": config["seed"]}


def _fit_svms(
    detector: DetectorModule, data: DetectionData, device: torch.device
) -> dict[str, Tensor]:
    """Fit the SVMs of a roi head, if it has any; returns the tensors that changed."""
    images = data.measuring_loader(data.train_index)
    return fit_svms(detector, images, device, data.class_names)


def _finish(
    config: dict[str, Any], folder: Path, data: DetectionData, classes: Classes, trainer: pl.Trainer
) -> dict[str, float]:
    """Measure the best checkpoint from its file and write the results, plots and report.

    If no validation gave a valid AP, this is the last checkpoint.
    """
    checkpoint = read_checkpoint(find_checkpoint(str(folder)))
    detector = assembly.build_detector(config["model"], classes, fetch_weights=False)
    require_fit(detector.state_dict(), checkpoint)
    detector.load_state_dict(checkpoint.weights)  # `load_weights` warns of unfitted SVMs
    device = choose_device("auto")
    change_weights(checkpoint.path, _fit_svms(detector, data, device))
    loader, metric = data.validation_loader(), assembly.build_metric(config, classes)
    log.info("measuring %s on all validation images", checkpoint.path.name)
    batches = (
        (batch.image_ids, detections, batch.original_targets)
        for batch, detections in detect(detector, loader, device)
    )
    measurement = measure(metric, classes.names, batches, lambda: describe_unreadable(loader))
    files = measurement.write(folder)
    store_matches(metric, folder)
    print(measurement.text())
    plot_curves(RunFolder(folder).metrics_log, RunFolder(folder).curves)
    report = write_report(
        folder,
        title=config["run_name"],
        numbers=measurement.numbers,
        class_names=classes.names,
        meanings=measurement.meanings,
    )
    result = TrainingResult(
        numbers=measurement.numbers,
        class_names=classes.names,
        analysis=measurement.analysis,
        checkpoint=checkpoint.path,
        epoch=checkpoint.epoch,
        pictures=[file for file in files if file.suffix == ".png"],
    )
    log_result(trainer, result)
    kind = checkpoint.path.stem
    print(f"{kind} checkpoint: {checkpoint.path} (epoch {checkpoint.epoch})\nreport: {report}")
    return dict(measurement.numbers)
