"""`detkit predict`: pictures with boxes, and the boxes as JSON."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import Any

from tqdm import tqdm

from detkit.cli.exported_words import exported_checkpoint
from detkit.cli.output_folder import make_folder
from detkit.cli.predict_settings import PredictSettings, exported_settings
from detkit.errors import DataError, UserError
from detkit.evaluation.results_file import write_rows
from detkit.inference.earlier_pictures import RESULTS, clear_earlier
from detkit.inference.sources import find_images, output_names
from detkit.text import counted

HELP = """
usage: detkit predict ckpt=RUN source=FILE|FOLDER|GLOB [KEY=VALUE ...]
       detkit predict ckpt=MODEL.onnx source=FILE|FOLDER|GLOB [KEY=VALUE ...]

Detects objects in image files. Writes a picture with labelled boxes for each image, and
detections.json: a COCO results file whose rows also contain the file name. Removes pictures of an
earlier prediction in the same folder. Reports and skips files that it cannot read.
A detector with a mask head also draws masks, and writes them as COCO's runs of pixels (RLE);
mask_format=polygons writes polygons.
The default score_threshold is the score with the best F1 on the run's validation images, or 0.3 if
the run measured none.

An exported file runs in onnxruntime (.onnx), OpenVINO (.xml) or PyTorch (.pt2). It takes source,
output, score_threshold, mask_format, batch_size and device; everything else was fixed by
`detkit export`.

  detkit predict ckpt=runs/demo source=photo.jpg
  detkit predict ckpt=runs/demo source='photos/*.jpg' output=found score_threshold=0.5
  detkit predict ckpt=runs/demo source=photos image_size=640
  detkit predict ckpt=runs/demo source=photos model.head.postprocess.max_detections=20
  detkit predict ckpt=demo.onnx source=photos batch_size=4
"""


def run(arguments: list[str]) -> int:
    """Predict; 1 when no image could be read."""
    settings = _settings(arguments)
    paths = find_images(settings.source)
    output = _output_folder(settings.output, paths)
    detector = settings.open_detector()
    if settings.score_threshold is None:
        default = f"{detector.threshold:.2f}: {detector.threshold_origin}"
        print(f"score_threshold={default}", file=sys.stderr)
    names = output_names(paths)
    if removed := clear_earlier(output, names):
        print(f"removed {counted(removed, 'picture')} of an earlier prediction from {output}")
    rows: list[dict[str, Any]] = []
    unreadable = 0
    results = detector.stream(
        paths, threshold=settings.score_threshold, batch_size=settings.batch_size
    )
    progress = tqdm(results, total=len(paths), unit="image", disable=None)
    for image_id, (result, name) in enumerate(zip(progress, names, strict=True), start=1):
        if isinstance(result, DataError):
            unreadable += 1
            tqdm.write(f"skipped: {result}", file=sys.stderr)
            continue
        result.draw().save(output / name)
        rows += result.to_coco(image_id, mask_format=settings.mask_format)
    write_rows(output / RESULTS, rows)
    readable = len(paths) - unreadable
    summary = f"{counted(len(rows), 'detection')} in {counted(readable, 'image')}"
    print(f"{summary}, {unreadable} skipped: {output}")
    return 0 if readable else 1


def _settings(arguments: list[str]) -> PredictSettings:
    """The settings for a run or an exported file; only a run imports torch and Hydra."""
    file = exported_checkpoint(arguments)
    if file is not None:
        return exported_settings(file, arguments)
    settings: PredictSettings = import_module("detkit.cli.predict_run").run_settings(arguments)
    return settings


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
