"""`detkit evaluate`: the numbers of a checkpoint, or of a file of detections, on a data set."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

from tqdm import tqdm

from detkit import assembly
from detkit.api.checkpoint_config import compose_with
from detkit.assembly import Classes
from detkit.cli.output_folder import make_folder
from detkit.cli.words import checkpoint_of, value_of
from detkit.config import compose
from detkit.data.detection_dataset import DetectionDataset
from detkit.data.evaluation_split import measured_split
from detkit.data.unreadable_images import describe_unreadable
from detkit.errors import UserError
from detkit.evaluation.results_file import read_rows, write_results
from detkit.evaluation.results_matching import match_rows
from detkit.inference.detecting import choose_device, detect
from detkit.inference.measuring import Measurement, measure
from detkit.runs.checkpoint import load_weights
from detkit.structures import DatasetIndex, Detections, Target
from detkit.visualization.analysis_pictures import FOLDER

HELP = """
usage: detkit evaluate ckpt=RUN [KEY=VALUE ...]
       detkit evaluate detections=FILE data.path=DATA [KEY=VALUE ...]

Measures a checkpoint: AP, AP50 and the other COCO metrics, AP per class, and the AP lost to each
kind of error. RUN is a run folder (measures its best checkpoint) or a checkpoint file. Model and
data are the run's unless the command line changes them; classes are matched by name.

With detections=FILE no model runs. FILE is a COCO results file: a list of rows with image_id,
category_id, bbox and score, as this command, `detkit predict` or `yolo val` write it. Rows are
matched to images by file_name if they have one, else by image_id, else by the stem of the file.

split=NAME measures another split, by the data set's name or a common one (val, valid, test, ...);
split=all takes every image of a data set without splits.

With output=FOLDER it writes metrics.json, detections.json and pictures: precision and recall,
confusion matrix, score thresholds, errors, sizes.

  detkit evaluate ckpt=runs/demo
  detkit evaluate ckpt=runs/demo data.path=OTHER
  detkit evaluate ckpt=runs/demo image_size=640   larger or smaller images than in training
  detkit evaluate ckpt=runs/demo split=test output=numbers
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
    split = measured_split(data, config["split"])
    loader = data.measuring_loader(split.index)
    print(split.describe())
    results: list[tuple[int, Detections]] = []

    def batches() -> Iterator[tuple[list[int], list[Detections], list[Target]]]:
        detected = detect(detector, loader, choose_device(config["device"]))
        for batch, detections in tqdm(detected, total=len(loader), unit="batch", disable=None):
            results.extend(zip(batch.image_ids, detections, strict=True))
            yield batch.image_ids, detections, batch.original_targets

    metric = assembly.build_metric(config, classes)
    measured = measure(metric, classes.names, batches(), partial(describe_unreadable, loader))
    print(measured.text())
    if config["output"] is not None:
        file = Path(config["output"]) / "detections.json"
        _write(measured, config["output"], [str(file)])
        write_results(file, results, classes.category_ids)
    return 0


def _write(measured: Measurement, output: str, other_files: list[str]) -> None:
    """Write a measurement and say where it is."""
    metrics, *pictures = measured.write(Path(output))
    lines = [str(metrics), *other_files]
    lines += [f"{len(pictures)} pictures in {Path(output) / FOLDER}"] if pictures else []
    print(f"\nwritten: {', '.join(lines)}")


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
    split = measured_split(assembly.build_data(without_transforms), config["split"])
    index = split.index
    classes = Classes(index.class_names, index.category_ids)
    file = Path(config["detections"]).expanduser()
    matched = match_rows(read_rows(file), index, str(file), split.name)
    print("\n".join([split.describe(), *matched.notes]), end="\n\n")
    metric = assembly.build_metric(config, classes)
    measured = measure(metric, classes.names, _from_file(matched.by_image, index))
    print(measured.text())
    if config["output"] is not None:
        _write(measured, config["output"], [])
    return 0


def _from_file(
    by_image: dict[int, Detections], index: DatasetIndex
) -> Iterator[tuple[list[int], list[Detections], list[Target]]]:
    """All images of a data set with their detections; one that is not in the file has none."""
    dataset, nothing = DetectionDataset(index, transforms={}, seed=0), Detections.empty()
    for start in range(0, len(index), _BATCH):
        positions = range(start, min(start + _BATCH, len(index)))
        image_ids = [int(index.image_ids[position]) for position in positions]
        detections = [by_image.get(image_id, nothing) for image_id in image_ids]
        yield image_ids, detections, [dataset.target(position) for position in positions]
