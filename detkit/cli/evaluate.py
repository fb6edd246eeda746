"""`detkit evaluate`: a checkpoint's numbers on a data set."""

from __future__ import annotations

from pathlib import Path

from tqdm import tqdm

from detkit import assembly
from detkit.assembly import Classes
from detkit.cli.words import checkpoint_of, compose_with
from detkit.evaluation.results import write_results
from detkit.evaluation.table import metrics_table, write_metrics
from detkit.inference.checkpoint import load_weights
from detkit.inference.loop import choose_device, detect
from detkit.structures import Detections

HELP = """
usage: detkit evaluate ckpt=RUN [KEY=VALUE ...]

Measures a checkpoint: AP, AP50 and the other COCO numbers, and AP of each class. RUN is a run
folder (its best checkpoint is taken) or a checkpoint file. Model and data are those of the run
unless the command line says otherwise; classes are matched by name.

  detkit evaluate ckpt=runs/demo
  detkit evaluate ckpt=runs/demo data=folder data.path=OTHER
  detkit evaluate ckpt=runs/demo split=train output=numbers
  detkit evaluate ckpt=runs/demo model.head.postprocess.iou_threshold=0.6
"""


def run(arguments: list[str]) -> int:
    """Measure and print; write metrics.json and detections.json where an output folder is named."""
    checkpoint = checkpoint_of(arguments, "evaluate")
    config = compose_with(checkpoint, "evaluate", arguments)
    classes = Classes(checkpoint.class_names, checkpoint.category_ids)
    detector = assembly.build_detector(config["model"], classes, fetch_weights=False)
    load_weights(detector, checkpoint)
    data = assembly.build_data(config).with_classes(classes.names)
    loader = (
        data.validation_loader()
        if config["split"] == "validation"
        else data.measuring_train_loader()
    )
    metric = assembly.build_metric(config, classes)
    found: list[tuple[int, Detections]] = []
    batches = detect(detector, loader, choose_device(config["device"]))
    for batch, detections in tqdm(batches, total=len(loader), unit="batch", disable=None):
        metric.update(batch.image_ids, detections, batch.original_targets)
        found += zip(batch.image_ids, detections, strict=True)
    numbers = metric.compute()
    print(metrics_table(numbers, classes.names, meanings=metric.meanings))
    if config["output"] is not None:
        folder = Path(config["output"])
        folder.mkdir(parents=True, exist_ok=True)
        write_metrics(folder / "metrics.json", numbers)
        write_results(folder / "detections.json", found, classes.category_ids)
        print(f"written: {folder / 'metrics.json'}, {folder / 'detections.json'}")
    return 0
