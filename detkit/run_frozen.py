"""Train from a frozen configuration: `python -m detkit.run_frozen FOLDER`, for each rank of a run.

Multi-node: `torchrun -m detkit.run_frozen FOLDER` on a folder that all nodes share.
"""

from __future__ import annotations

import json
import logging
import sys
from pathlib import Path
from typing import Any

from detkit import __version__, assembly, registry
from detkit.assembly import Classes
from detkit.config.freeze import read_frozen
from detkit.errors import UserError
from detkit.evaluation.table import metrics_table, write_metrics
from detkit.inference.checkpoint import find_checkpoint, load_weights, read_checkpoint
from detkit.inference.loop import choose_device, detect
from detkit.training.fit import fit
from detkit.training.module import DetectionModule
from detkit.training.position import Position, read_position
from detkit.training.run import environment
from detkit.training.trainer import make_trainer, prepare_detector, seed_everything
from detkit.visualization.plots import plot_curves
from detkit.visualization.report import write_report

log = logging.getLogger("detkit.run")


def run(folder: Path) -> dict[str, float]:
    """Train what a run folder's configuration describes, measure the best checkpoint, report.

    Returns:
        The metric's numbers of the best checkpoint on the validation split.
    """
    config = read_frozen(folder)
    registry.load_plugins(config["plugins"])
    settings = dict(config["trainer"])
    channels_last, compiled = settings.pop("channels_last"), settings.pop("compile")
    log_to(folder)
    seed_everything(config["seed"])
    data = assembly.build_data(config)
    classes = Classes(data.class_names, data.category_ids)
    log.info("run folder: %s", folder)
    log.info("data: %s", data.describe())
    detector = assembly.build_detector(
        config["model"], classes, fetch_weights=config["ckpt"] is None
    )
    prepare_detector(detector, channels_last=channels_last, compile=compiled)
    log.info("model: %s, %.1f M parameters", config["run_name"], _millions(detector))
    wiring = {**classes.wiring(), "run_folder": str(folder), "seed": config["seed"]}
    module = DetectionModule(
        detector=detector,
        optimizer=assembly.build("optimizer", config["optimizer"], wiring, ("optimizer",)),
        schedule=assembly.build("scheduler", config["scheduler"], wiring, ("scheduler",)),
        metric=assembly.build_metric(config, classes),
        checkpoint_record=_record(config, classes),
        batch_size=data.batch_size,
    )
    callbacks = assembly.build_labelled("callback", config["callbacks"], wiring, ("callbacks",))
    chosen = {} if config["logger"] is None else {"logger": config["logger"]}
    loggers = assembly.build_labelled("logger", chosen, wiring, ())
    trainer = make_trainer(
        run_folder=str(folder),
        callbacks=list(callbacks.values()),
        loggers=list(loggers.values()),
        **settings,
    )
    if trainer.is_global_zero:
        record = environment(seed=config["seed"])
        (folder / "environment.json").write_text(json.dumps(record, indent=2) + "\n")
    start = read_position(config["ckpt"]) if config["ckpt"] else Position()
    loaders = data.train_loader(skip=start), data.validation_loader()
    fit(module, trainer, *loaders, resume=config["ckpt"])
    return _finish(config, folder, data, classes) if trainer.is_global_zero else {}


def _finish(config: dict[str, Any], folder: Path, data: Any, classes: Classes) -> dict[str, float]:
    """Measure the best checkpoint again, from its file, and write what a person reads."""
    checkpoint = read_checkpoint(find_checkpoint(str(folder)))
    detector = assembly.build_detector(config["model"], classes, fetch_weights=False)
    load_weights(detector, checkpoint)
    metric = assembly.build_metric(config, classes)
    for batch, detections in detect(detector, data.validation_loader(), choose_device("auto")):
        metric.update(batch.image_ids, detections, batch.original_targets)
    numbers = metric.compute()
    write_metrics(folder / "metrics.json", numbers)
    print(metrics_table(numbers, classes.names))
    plot_curves(folder / "metrics.csv", folder / "curves.png")
    report = write_report(
        folder, title=config["run_name"], numbers=numbers, class_names=classes.names
    )
    print(f"best checkpoint: {checkpoint.path} (epoch {checkpoint.epoch})\nreport: {report}")
    return numbers


def _record(config: dict[str, Any], classes: Classes) -> dict[str, Any]:
    """What a checkpoint holds besides tensors: plain values only."""
    return {
        "version": __version__,
        "config": json.loads(json.dumps(config)),
        "plugins": list(config["plugins"]),
        "class_names": classes.names,
        "category_ids": classes.category_ids,
    }


def _millions(model: Any) -> float:
    return float(sum(parameter.numel() for parameter in model.parameters()) / 1e6)


def log_to(folder: Path | None) -> None:
    """Show detkit's messages on the terminal, and keep them with their times in the run folder."""
    root = logging.getLogger("detkit")
    root.setLevel(logging.INFO)
    root.handlers.clear()
    shown = logging.StreamHandler(sys.stderr)
    shown.setFormatter(logging.Formatter("%(message)s"))
    root.addHandler(shown)
    if folder is not None:
        kept = logging.FileHandler(folder / "train.log", encoding="utf-8")
        kept.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        root.addHandler(kept)


if __name__ == "__main__":
    if len(sys.argv) != 2:  # noqa: PLR2004
        sys.exit("usage: python -m detkit.run_frozen FOLDER")
    try:
        run(Path(sys.argv[1]))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
