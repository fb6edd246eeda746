"""`detkit predict`: pictures with boxes, and the boxes as JSON."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from tqdm import tqdm

from detkit.api.checkpoint_config import checkpoint_of, compose_with
from detkit.api.detector import Detector
from detkit.cli.output_folder import make_folder
from detkit.errors import DataError, UserError
from detkit.evaluation.results_file import write_rows
from detkit.inference.earlier_pictures import RESULTS, clear_earlier
from detkit.inference.sources import find_images, output_names
from detkit.text import counted

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
    paths = find_images(config["source"])
    output = _output_folder(config["output"], paths)
    detector = Detector(checkpoint, config, device=config["device"])
    threshold = config["score_threshold"]
    if threshold is None:
        default = f"{detector.threshold:.2f}: {detector.threshold_origin}"
        print(f"score_threshold={default}", file=sys.stderr)
    names = output_names(paths)
    if removed := clear_earlier(output, names):
        print(f"removed {counted(removed, 'picture')} of an earlier prediction from {output}")
    rows: list[dict[str, Any]] = []
    unreadable = 0
    results = detector.stream(paths, threshold=threshold, batch_size=config["batch_size"])
    progress = tqdm(results, total=len(paths), unit="image", disable=None)
    for image_id, (result, name) in enumerate(zip(progress, names, strict=True), start=1):
        if isinstance(result, DataError):
            unreadable += 1
            tqdm.write(f"skipped: {result}", file=sys.stderr)
            continue
        result.draw().save(output / name)
        rows += result.to_coco(image_id)
    write_rows(output / RESULTS, rows)
    readable = len(paths) - unreadable
    summary = f"{counted(len(rows), 'detection')} in {counted(readable, 'image')}"
    print(f"{summary}, {unreadable} skipped: {output}")
    return 0 if readable else 1


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
