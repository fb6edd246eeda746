"""`detkit predict`: detections in images, written in any format."""

from __future__ import annotations

import sys
from contextlib import closing
from importlib import import_module
from pathlib import Path
from typing import Any

from tqdm import tqdm

from detkit.cli.exported_words import exported_checkpoint
from detkit.cli.output_folder import make_folder
from detkit.cli.predict_images import PredictedImages
from detkit.cli.predict_settings import PredictSettings, exported_settings
from detkit.cli.predict_sources import Source, open_source
from detkit.errors import DataError, Stopped
from detkit.inference.prediction_output import Classes, PredictionOutput
from detkit.pixels.image_decoding import UnreadableImageError
from detkit.structures.predictions import PredictedImage
from detkit.text import counted

HELP = """
usage: detkit predict ckpt=RUN source=FILE|FOLDER|GLOB [KEY=VALUE ...]
       detkit predict ckpt=MODEL.onnx source=FILE|FOLDER|GLOB [KEY=VALUE ...]

Detects objects in image files. Writes a picture with labelled boxes for each image, and
detections.json: a COCO results file whose rows also contain the file name. Removes the files of an
earlier prediction in the same folder. Reports and skips files that it cannot read.
The default score_threshold is the score with the best F1 on the run's validation images, or 0.3 if
the run measured none.

format=[A,B]       pictures and coco are the defaults; `detkit list writer` shows all formats
classes=[A,B]      keeps detections of these classes
mask_format=NAME   rle (default) or polygons: how JSON files store the masks of a mask head

tiling={size: 640, overlap: 0.2} detects in overlapping tiles of the images, for objects that are
small in large images; docs/tiling.md lists its settings.

A prediction that was stopped, by Ctrl-C or any other way, continues with the same command: images
that are done are not predicted again. Other settings or another checkpoint are refused then;
resume=false starts over. resume=true does nothing if the prediction is finished.

An exported file runs in onnxruntime (.onnx), OpenVINO (.xml) or PyTorch (.pt2). It takes source,
output, format, classes, resume, score_threshold, mask_format, tiling, batch_size and device;
everything else was fixed by `detkit export`.

  detkit predict ckpt=runs/demo source=photo.jpg
  detkit predict ckpt=runs/demo source='photos/*.jpg' output=found score_threshold=0.5
  detkit predict ckpt=runs/demo source=photos format=[yolo,crops] classes=[dog,cat]
  detkit predict ckpt=runs/demo source=photos image_size=640
  detkit predict ckpt=runs/demo source=photos model.head.postprocess.max_detections=20
  detkit predict ckpt=runs/demo source=photos 'tiling={size: 640, overlap: 0.2}'
  detkit predict ckpt=demo.onnx source=photos batch_size=4
"""


def run(arguments: list[str]) -> int:
    """Predict; 1 when no image could be read."""
    settings = _settings(arguments)
    source = open_source(settings.source)
    folder = Path(settings.output)
    source.require_outside(folder)
    detector = settings.open_detector()
    if settings.score_threshold is None:
        default = f"{detector.threshold:.2f}: {detector.threshold_origin}"
        print(f"score_threshold={default}", file=sys.stderr)
    images = PredictedImages(detector, settings, source)
    classes = Classes(detector.class_names, detector.category_ids)
    with closing(PredictionOutput(make_folder(folder), settings.writers, classes)) as output:
        identity = images.identity()
        start = output.resume(identity, settings.resume, settings.batch_size)
        if not output.is_finished:
            _begin(output, identity, source, start)
            _write(output, images, start)
        total = f"{counted(output.detections, 'detection')} in "
        readable = output.images - output.unreadable
        earlier = " (finished earlier)" if output.is_finished else ""
        print(
            f"{total}{counted(readable, 'image')}, {output.unreadable} skipped: {folder}{earlier}"
        )
    return 0 if readable else 1


def _settings(arguments: list[str]) -> PredictSettings:
    """The settings for a run or an exported file; only a run imports torch and Hydra."""
    file = exported_checkpoint(arguments)
    if file is not None:
        return exported_settings(file, arguments)
    settings: PredictSettings = import_module("detkit.cli.predict_run").run_settings(arguments)
    return settings


def _begin(output: PredictionOutput, identity: dict[str, Any], source: Source, start: int) -> None:
    """Start a prediction, or say that one is continued."""
    if start:
        text = "continues an unfinished prediction (resume=false starts over): "
        print(f"{text}{_progress(start, source.count)} done", file=sys.stderr)
    elif removed := output.start(identity, source.names):
        print(f"removed {counted(removed, 'file')} of an earlier prediction from {output.folder}")


def _write(output: PredictionOutput, images: PredictedImages, start: int) -> None:
    """The loop: from the source to the writers, image by image."""
    progress = tqdm(
        images.after(start), total=images.count, initial=start, unit="image", disable=None
    )
    try:
        for image in progress:
            if error := _add(output, image):
                tqdm.write(f"skipped: {error}", file=sys.stderr)
                output.add_unreadable()
        output.finish()
    except (KeyboardInterrupt, Stopped):
        progress.close()
        done = _progress(output.images, images.count)
        print(f"{done} done; the same command continues after them", file=sys.stderr)
        raise


def _add(output: PredictionOutput, image: PredictedImage | DataError) -> DataError | None:
    """Write the files of an image, or return the error if it cannot be read."""
    if isinstance(image, DataError):
        return image
    try:
        output.add(image)
    except UnreadableImageError as error:  # the file has changed since the prediction
        return DataError(f"cannot read the image '{image.record.file_name}': {error.reason}.")
    return None


def _progress(done: int, total: int | None) -> str:
    return counted(done, "image") if total is None else f"{done:,} of {counted(total, 'image')}"
