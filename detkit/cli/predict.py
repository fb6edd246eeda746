"""`detkit predict`: pictures with boxes, and the boxes as JSON."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import Any

from tqdm import tqdm

from detkit import assembly
from detkit.api.checkpoint_config import compose_with
from detkit.assembly import Classes
from detkit.cli.output_folder import make_folder
from detkit.cli.words import checkpoint_of
from detkit.data.collate import Collate
from detkit.data.image_decoding import decode
from detkit.data.single_image import read_image
from detkit.errors import UserError
from detkit.evaluation.results_file import result_rows, write_rows
from detkit.inference.detecting import choose_device
from detkit.inference.earlier_pictures import RESULTS, clear_earlier
from detkit.inference.predictor import find_images, output_names, predict_files
from detkit.runs.checkpoint import load_weights
from detkit.runs.score_threshold import default_threshold
from detkit.structures import Detections
from detkit.text import counted
from detkit.visualization.panels import draw_with_legend

HELP = """
usage: detkit predict ckpt=RUN source=FILE|FOLDER|GLOB [KEY=VALUE ...]

Detects objects in image files. Writes a picture with labelled boxes for each image, and
detections.json: a COCO results file whose rows also contain the file name. Removes pictures of an
earlier prediction in the same folder. Reports and skips files that it cannot read.
The default score_threshold is the score with the best F1 on the run's validation images, or 0.3 if
the run measured none.

  detkit predict ckpt=runs/demo source=photo.jpg
  detkit predict ckpt=runs/demo source='photos/*.jpg' output=found score_threshold=0.5
  detkit predict ckpt=runs/demo source=photos image_size=640
  detkit predict ckpt=runs/demo source=photos model.head.postprocess.max_detections=20
"""


def run(arguments: list[str]) -> int:
    """Predict; 1 when no image could be read."""
    checkpoint = checkpoint_of(arguments, "predict")
    config = compose_with(checkpoint, "predict", arguments)
    classes = Classes(checkpoint.class_names, checkpoint.category_ids)
    paths = find_images(config["source"])
    output = _output_folder(config["output"], paths)
    detector = assembly.build_detector(config["model"], classes, fetch_weights=False)
    load_weights(detector, checkpoint)
    threshold = _threshold(config["score_threshold"], checkpoint.path)
    predictions = predict_files(
        detector,
        paths,
        read=partial(
            read_image, transforms=assembly.build_transforms(config["augmentation"], "evaluation")
        ),
        collate=Collate(pad_multiple=config["augmentation"]["pad_multiple"]),
        device=choose_device(config["device"]),
        batch_size=config["batch_size"],
    )
    rows: list[dict[str, Any]] = []
    unread = 0
    names = output_names(paths)
    if removed := clear_earlier(output, names):
        print(f"removed {counted(removed, 'picture')} of an earlier prediction from {output}")
    named = zip(predictions, names, strict=True)
    for image_id, (prediction, name) in enumerate(
        tqdm(named, total=len(paths), unit="image", disable=None), 1
    ):
        if prediction.detections is None:
            unread += 1
            tqdm.write(f"skipped: {prediction.problem}", file=sys.stderr)
            continue
        is_confident = prediction.detections.scores >= threshold
        detections = Detections(*(value[is_confident] for value in prediction.detections))
        picture = draw_with_legend(decode(prediction.path), detections, classes.names)
        picture.save(output / name)
        rows += result_rows(image_id, detections, classes.category_ids, str(prediction.path))
    write_rows(output / RESULTS, rows)
    read = len(paths) - unread
    found_in = f"{counted(len(rows), 'detection')} in {counted(read, 'image')}"
    print(f"{found_in}, {unread} skipped: {output}")
    return 0 if read else 1


def _threshold(requested: float | None, checkpoint: Path) -> float:
    """The score threshold; a default one is printed."""
    if requested is not None:
        return requested
    default = default_threshold(checkpoint)
    print(f"score_threshold={default.value:.2f}: {default.origin}", file=sys.stderr)
    return default.value


def _output_folder(name: str, paths: list[Path]) -> Path:
    """Create the output folder; one with an input is refused, as a picture could replace the input.

    Raises:
        UserError: The folder holds an input, or cannot be written.
    """
    output = Path(name)
    inside = [path for path in paths if path.resolve().parent == output.resolve()]
    if inside:
        raise UserError(
            f"output={name}: the folder holds the input '{inside[0].name}': choose another folder."
        )
    return make_folder(output)
