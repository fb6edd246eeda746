"""`detkit evaluate`: the numbers of a checkpoint, or of a file of detections, on a data set."""

from __future__ import annotations

from pathlib import Path

from tqdm import tqdm

from detkit.api.evaluation import (
    Evaluation,
    FileEvaluation,
    evaluation_of,
    require_value_range,
)
from detkit.api.exported_evaluation import exported_evaluation
from detkit.api.tiled_evaluation import recommend_tiles, refuse_training_tiles
from detkit.api.view_evaluation import backend_evaluation
from detkit.api.view_settings import views_in_words
from detkit.cli.compare_postprocess import compare
from detkit.cli.ensemble_members import members_of
from detkit.cli.exported_members import FileMember, merged
from detkit.cli.exported_words import checkpoint_names, exported_checkpoints
from detkit.cli.output_folder import make_folder
from detkit.config import compose
from detkit.config.override_text import value_of
from detkit.errors import UserError
from detkit.evaluation.results_file import write_results
from detkit.inference.measuring import Measurement
from detkit.inference.tiling import tiling_in_words, tiling_of
from detkit.runs.layout import RunFolder
from detkit.text import counted, listed

HELP = """
usage: detkit evaluate ckpt=RUN [KEY=VALUE ...]
       detkit evaluate ckpt=MODEL.onnx data.path=DATA [KEY=VALUE ...]
       detkit evaluate detections=FILE data.path=DATA [KEY=VALUE ...]

Measures a checkpoint: AP, AP50 and the other COCO metrics, AP per class, and the AP lost to each
kind of error. RUN is a run folder (measures its best checkpoint) or a checkpoint file. Model and
data are the run's unless the command line changes them; classes are matched by name. A detector
with a mask head also gets COCO's numbers for masks: mask_AP, mask_AP50 and so on.

An exported file (.onnx, .xml or .pt2) runs in its engine on data.path=DATA, with the settings
that were fixed by `detkit export`; data, split, metric, tiling, tta, device and output can be
chosen.

With detections=FILE no model runs. FILE is a COCO results file: a list of rows with image_id,
category_id, bbox and score, as this command, `detkit predict` or `yolo val` write it. Rows are
matched to images by file_name if they have one, else by image_id, else by the stem of the file.
Rows with a segmentation are measured by their masks too.

tiling={size: 640, overlap: 0.2} detects in overlapping tiles of the images, for objects that are
small in large images; docs/tiling.md lists its settings.

tta={flip: true, scales: [0.8, 1.0, 1.2]} detects in mirrored and scaled views of each image, and
ckpt=[RUN_A,RUN_B] with several detectors, runs or exported files. merge=NAME says how their
detections become one list; docs/ensembles.md has the settings.

postprocess=A,B runs the network once and measures each of these post-processors on its candidates,
for each of the values in words such as iou_threshold=.4,.5,.6. It prints a table, and the words
that select the best one.

split=NAME measures another split, by the data set's name or a common one (val, valid, test, ...);
split=all takes every image of a data set without splits.

With output=FOLDER it writes metrics.json, detections.json and pictures: precision and recall, F1,
precision and recall by score threshold, FROC and ROC curves, confusion matrix, errors, sizes. The
curves of each class, of all classes together and their mean are also written as CSV.

intervals=true adds 95 % intervals of AP, AP50 and the AP of each class, by drawing the images again
with replacement: how far the numbers may be off because these and no other images were measured.
intervals={samples: 2000, seed: 1} sets how. To compare two detectors, use `detkit compare`.

  detkit evaluate ckpt=runs/demo
  detkit evaluate ckpt=runs/demo data.path=OTHER
  detkit evaluate ckpt=runs/demo image_size=640   larger or smaller images than in training
  detkit evaluate ckpt=runs/demo split=test output=numbers
  detkit evaluate ckpt=runs/demo 'tiling={size: 640, overlap: 0.2}'
  detkit evaluate ckpt=[runs/demo,runs/other] 'tta={flip: true}' merge=soft_nms
  detkit evaluate ckpt=runs/demo postprocess=nms,soft_nms,matrix_nms iou_threshold=.4,.5,.6
  detkit evaluate ckpt=runs/demo intervals=true
  detkit evaluate ckpt=runs/demo metric=voc metric.average=11_points
  detkit evaluate ckpt=runs/demo model.head.postprocess.iou_threshold=0.6
  detkit evaluate ckpt=demo.onnx data.path=DATA
  detkit evaluate detections=numbers/detections.json data=shapes output=again
"""


def run(arguments: list[str]) -> int:
    """Measure and print; write numbers and pictures if an output folder is named."""
    if value_of(arguments, "detections"):
        return _measure_file(arguments)
    if any(word.startswith("postprocess=") for word in arguments):
        return compare(arguments)
    evaluation, output = _opened(arguments)
    print(evaluation.split.describe())
    measurement = evaluation.run(
        lambda batches: tqdm(batches, total=len(evaluation), unit="batch", disable=None)
    )
    print(measurement.text())
    if output is not None:
        file = Path(output) / "detections.json"
        _write(measurement, output, [str(file)])
        write_results(file, evaluation.results, evaluation.category_ids)
    return 0


def _opened(arguments: list[str]) -> tuple[Evaluation, str | None]:
    """The evaluation of one detector or of several, and the output folder."""
    if files := exported_checkpoints(arguments):
        return _opened_exports(files, arguments)
    members = members_of(checkpoint_names(arguments) or [""], arguments, "evaluate")
    config = members.config
    if config["output"] is not None:
        make_folder(Path(config["output"]))
    if members.views is None:
        checkpoint = members.first.checkpoint
        return evaluation_of(checkpoint, config, device=config["device"]), config["output"]
    checkpoint = members.first.checkpoint
    require_value_range(checkpoint, config)
    recommend_tiles(checkpoint.config, tiling_of(config["tiling"]))
    refuse_training_tiles(config, checkpoint.config)
    return backend_evaluation(members.open(), config), config["output"]


def _opened_exports(files: list[Path], arguments: list[str]) -> tuple[Evaluation, str | None]:
    words = [word for word in arguments if not word.startswith(("ckpt=", "device="))]
    if output := value_of(words, "output"):
        make_folder(Path(output))
    views, words = views_in_words(words, len(files))
    device = value_of(arguments, "device") or "auto"
    networks = [FileMember(file, device).open() for file in files]
    if views is None:
        return exported_evaluation(networks[0], words), output
    tiling, words = tiling_in_words(words)
    config = networks[0].evaluation_config(words)
    return backend_evaluation(merged(networks, views), config, tiling), output


def _write(measurement: Measurement, output: str, other_files: list[str]) -> None:
    """Write a measurement and print its folder."""
    metrics, *others = measurement.write(Path(output))
    kinds = {"picture": ".png", "table": ".csv"}
    counts = {noun: sum(f.suffix == suffix for f in others) for noun, suffix in kinds.items()}
    texts = [counted(count, noun) for noun, count in counts.items() if count]
    lines = [str(metrics), *other_files, f"{listed(texts)} in {RunFolder(output).analysis}"]
    print(f"\nwritten: {', '.join(lines)}")


def _measure_file(arguments: list[str]) -> int:
    """Measure a COCO results file on a data set; no model runs, no image is read.

    Raises:
        UserError: The overrides name a checkpoint too.
    """
    if value_of(arguments, "ckpt"):
        raise UserError(
            "detkit evaluate got both ckpt= and detections=: give a checkpoint to run its "
            "detector, or a file of detections to measure what is in it."
        )
    config = compose.compose("measure", arguments)
    if config["output"] is not None:
        make_folder(Path(config["output"]))
    evaluation = FileEvaluation(config)
    print("\n".join([evaluation.split.describe(), *evaluation.notes]), end="\n\n")
    measurement = evaluation.run()
    print(measurement.text())
    if config["output"] is not None:
        _write(measurement, config["output"], [])
    return 0
