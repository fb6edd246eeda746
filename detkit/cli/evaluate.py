"""`detkit evaluate`: the numbers of a checkpoint, or of a file of detections, on a data set."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tqdm import tqdm

from detkit import assembly
from detkit.assembly import Classes
from detkit.cli.output_folder import make_folder
from detkit.cli.words import checkpoint_of, compose_with, value_of
from detkit.config import compose
from detkit.data.dataset import DetectionDataset
from detkit.data.module import DEFAULT_VALIDATION_SPLIT, DetectionData
from detkit.data.splits import find_split, require_split
from detkit.errors import DataError, UserError
from detkit.evaluation.results import read_rows, write_results
from detkit.evaluation.results_matching import match_rows
from detkit.inference.checkpoint import load_weights
from detkit.inference.loop import choose_device, detect
from detkit.inference.measuring import Measurement, measure
from detkit.structures import DatasetIndex, Detections, Target
from detkit.visualization.analysis_pictures import FOLDER

HELP = """
usage: detkit evaluate ckpt=RUN [KEY=VALUE ...]
       detkit evaluate detections=FILE data.path=DATA [KEY=VALUE ...]

Measures a checkpoint: AP, AP50 and the other COCO numbers, AP of each class, and what AP loses to
which kind of error. RUN is a run folder (its best checkpoint is taken) or a checkpoint file. Model
and data are those of the run unless the command line says otherwise; classes are matched by name.

With detections=FILE no model runs: FILE is a COCO results file, a list of image_id, category_id,
bbox and score, such as detections.json of this command, of `detkit predict` or of `yolo val`. Rows
are matched with images by file_name if they have one, else by image_id, else by the stem of the
file. split=all takes every image of a data set that is not split.

With output=FOLDER it writes metrics.json, detections.json and pictures: precision and recall, what
is taken for what, score thresholds, errors, sizes.

  detkit evaluate ckpt=runs/demo
  detkit evaluate ckpt=runs/demo data.path=OTHER
  detkit evaluate ckpt=runs/demo image_size=640   larger or smaller images than in training
  detkit evaluate ckpt=runs/demo split=train output=numbers
  detkit evaluate ckpt=runs/demo metric=voc metric.average=11_points
  detkit evaluate ckpt=runs/demo model.head.postprocess.iou_threshold=0.6
  detkit evaluate detections=numbers/detections.json data=shapes output=again
"""
_BATCH = 64  # images of a file of detections that are handed over at once


def run(arguments: list[str]) -> int:
    """Measure and print; write numbers and pictures where an output folder is named."""
    if value_of(arguments, "detections"):
        return _measure_file(arguments)
    checkpoint = checkpoint_of(arguments, "evaluate")
    config = compose_with(checkpoint, "evaluate", arguments)
    if config["output"] is not None:
        make_folder(Path(config["output"]))
    classes = Classes(checkpoint.class_names, checkpoint.category_ids)
    detector = assembly.build_detector(config["model"], classes, fetch_weights=False)
    load_weights(detector, checkpoint)
    data = assembly.build_data(config).with_classes(classes.names)
    loader = (
        data.validation_loader()
        if config["split"] == "validation"
        else data.measuring_train_loader()
    )
    found: list[tuple[int, Detections]] = []

    def batches() -> Iterator[tuple[list[int], list[Detections], list[Target]]]:
        detected = detect(detector, loader, choose_device(config["device"]))
        for batch, detections in tqdm(detected, total=len(loader), unit="batch", disable=None):
            found.extend(zip(batch.image_ids, detections, strict=True))
            yield batch.image_ids, detections, batch.original_targets

    measured = measure(assembly.build_metric(config, classes), classes.names, batches())
    print(measured.text())
    if config["output"] is not None:
        file = Path(config["output"]) / "detections.json"
        _write(measured, config["output"], [str(file)])
        write_results(file, found, classes.category_ids)
    return 0


def _write(measured: Measurement, output: str, others: list[str]) -> None:
    """Write a measurement and say where it is."""
    metrics, *pictures = measured.write(Path(output))
    shown = [str(metrics), *others]
    shown += [f"{len(pictures)} pictures in {Path(output) / FOLDER}"] if pictures else []
    print(f"\nwritten: {', '.join(shown)}")


def _measure_file(arguments: list[str]) -> int:
    """Measure a COCO results file on a data set; no model, no image is read.

    Raises:
        UserError: A checkpoint is given too.
    """
    if value_of(arguments, "ckpt"):
        raise UserError(
            "detkit evaluate got both ckpt= and detections=: give a checkpoint to run its "
            "detector, or a file of detections to measure what is in it."
        )
    config = compose.compose("measure", arguments)
    if config["output"] is not None:
        make_folder(Path(config["output"]))
    without_transforms = {**config, "augmentation": {"train": {}, "evaluation": {}}}
    index = _index(assembly.build_data(without_transforms), config)
    classes = Classes(index.class_names, index.category_ids)
    file = Path(config["detections"]).expanduser()
    found = match_rows(read_rows(file), index, str(file), config["split"])
    print("\n".join(found.notes), end="\n\n")
    metric = assembly.build_metric(config, classes)
    measured = measure(metric, classes.names, _from_file(found.by_image, index))
    print(measured.text())
    if config["output"] is not None:
        _write(measured, config["output"], [])
    return 0


def _index(data: DetectionData, config: dict[str, Any]) -> DatasetIndex:
    """The images of the split that is measured.

    Raises:
        DataError: All images are asked for, and the data set is split.
    """
    if config["split"] != "all":
        splits = data.reader.splits(data.path)
        if config["split"] == "validation" and splits and not find_split(data.train_split, splits):
            # a data set to measure on alone: nothing else tells its classes
            wanted = data.validation_split or DEFAULT_VALIDATION_SPLIT
            name = require_split(wanted, splits, "data.validation_split")
            return data.reader.read(data.path, name)
        return data.validation_index if config["split"] == "validation" else data.train_index
    splits = data.reader.splits(data.path)
    if len(splits) > 1:
        raise DataError(
            f"split=all: {data.path} has the splits {', '.join(splits)}: measure one of them, "
            "such as split=validation data.validation_split=" + splits[-1]
        )
    return data.reader.read(data.path, splits[0] if splits else None)


def _from_file(
    found: dict[int, Detections], index: DatasetIndex
) -> Iterator[tuple[list[int], list[Detections], list[Target]]]:
    """All images of a data set with their detections; one that is not in the file has none."""
    dataset, nothing = DetectionDataset(index, transforms={}, seed=0), Detections.empty()
    for start in range(0, len(index), _BATCH):
        positions = range(start, min(start + _BATCH, len(index)))
        image_ids = [int(index.image_ids[position]) for position in positions]
        detections = [found.get(image_id, nothing) for image_id in image_ids]
        yield image_ids, detections, [dataset.target(position) for position in positions]
