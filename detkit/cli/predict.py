"""`detkit predict`: detections in images and videos, written in any format."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import closing
from importlib import import_module
from pathlib import Path
from typing import Any

from tqdm import tqdm

from detkit.api.detector import Detector
from detkit.api.thresholds import PER_CLASS
from detkit.cli.exported_words import exported_checkpoints
from detkit.cli.output_folder import make_folder
from detkit.cli.predict_images import PredictedImages, scores_text
from detkit.cli.predict_inputs import (
    ImageInput,
    Inputs,
    find_inputs,
    require_image_files,
    require_images,
    require_outside,
    require_videos,
    without_results,
)
from detkit.cli.predict_settings import PredictSettings, exported_settings
from detkit.cli.predict_sources import ImageFiles, Source
from detkit.cli.predict_video import VideoSummary, predict_videos
from detkit.errors import DataError, Stopped, UserError
from detkit.inference.prediction_output import Classes, PredictionOutput
from detkit.pixels.image_decoding import UnreadableImageError
from detkit.structures.predictions import PredictedImage
from detkit.text import counted

HELP = """
usage: detkit predict ckpt=RUN source=SOURCE [KEY=VALUE ...]
       detkit predict ckpt=MODEL.onnx source=SOURCE [KEY=VALUE ...]

Detects objects in image files and videos. Writes a picture with labelled boxes for each image, and
detections.json: a COCO results file whose rows also contain the file name. Removes the files of an
earlier prediction in the same folder. Reports and skips files that it cannot read.
SOURCE is a file, a folder, a pattern, the number of a camera, an http or rtsp address, a text file
that lists some, or [A,B]. A video gives NAME.mp4 with boxes and NAME.frames.jsonl with a line of
JSON per frame, in place of pictures and coco; other formats go to the folder NAME (docs/video.md).
The default score_threshold is the score with the best F1 on the run's validation images, or 0.3 if
the run measured none. score_threshold=per_class takes the score with the best F1 of each class, and
'score_threshold={dog: 0.4, cat: 0.5}' sets scores by class name.

format=[A,B]       pictures and coco are the defaults; `detkit list writer` shows all formats
classes=[A,B]      keeps detections of these classes
every=N            uses every n-th frame of a video; start=1:30 end=2:00 a part of it
track=bytetrack    follows objects over the frames of a video (or track=sort)
mask_format=NAME   rle (default) or polygons: how JSON files store the masks of a mask head

tiling={size: 640, overlap: 0.2} detects in overlapping tiles of the images, for objects that are
small in large images; docs/tiling.md lists its settings.

tta={flip: true, scales: [0.8, 1.0, 1.2]} detects in mirrored and scaled views of each image, and
ckpt=[RUN_A,RUN_B] with several detectors, runs or exported files. merge=NAME says how their
detections become one list; docs/ensembles.md has the settings.

A prediction that was stopped, by Ctrl-C or any other way, continues with the same command: images
that are done are not predicted again. Other settings or another checkpoint are refused then;
resume=false starts over. resume=true does nothing if the prediction is finished. Videos start over.

An exported file runs in onnxruntime (.onnx), OpenVINO (.xml) or PyTorch (.pt2). It takes source,
output, format, classes, resume, every, start, end, track, score_threshold, mask_format, tiling,
tta, merge, batch_size and device; everything else was fixed by `detkit export`.

  detkit predict ckpt=runs/demo source=photo.jpg
  detkit predict ckpt=runs/demo source='photos/*.jpg' output=found score_threshold=0.5
  detkit predict ckpt=runs/demo source=photos format=[yolo,crops] classes=[dog,cat]
  detkit predict ckpt=runs/demo source=photos image_size=640
  detkit predict ckpt=runs/demo source=photos model.head.postprocess.max_detections=20
  detkit predict ckpt=runs/demo source=photos 'tiling={size: 640, overlap: 0.2}'
  detkit predict ckpt=[runs/demo,other.onnx] source=photos 'tta={flip: true}' merge=soft_nms
  detkit predict ckpt=demo.onnx source=photos batch_size=4
  detkit predict ckpt=demo.onnx source=street.mp4 every=5 track=bytetrack
"""


def run(arguments: list[str]) -> int:
    """Predict; 1 when nothing could be read, or a video broke off."""
    settings = _settings(arguments)
    folder = Path(settings.output)
    inputs = without_results(find_inputs(settings.source), folder)
    require_outside(folder, inputs)
    require_videos(settings.frames, inputs, settings.source)
    require_images(settings.resume, inputs)
    require_image_files(settings.writers, inputs)
    for error in inputs.errors:
        print(f"skipped: {error}", file=sys.stderr)
    detector = settings.open_detector()
    if settings.mask_format != "rle" and not detector.has_masks:
        raise UserError(
            f"mask_format={settings.mask_format}: this detector gives no masks; leave the word "
            "out, or use one with a mask head and without merged views."
        )
    if settings.score_threshold is None:
        default = f"{detector.threshold:.2f}: {detector.threshold_origin}"
        print(f"score_threshold={default}", file=sys.stderr)
    elif settings.score_threshold == PER_CLASS:
        print(f"score_threshold=per_class: {scores_text(detector, PER_CLASS)}", file=sys.stderr)
    make_folder(folder)
    readable, is_whole = 0, True
    if inputs.images:
        readable = _predict_images(detector, settings, inputs.images, folder)
    if inputs.videos:
        videos = _predict_videos(detector, settings, inputs, folder)
        readable, is_whole = readable + videos.frames, videos.is_whole
    return 0 if readable and is_whole else 1


def _predict_images(
    detector: Detector, settings: PredictSettings, inputs: Sequence[ImageInput], folder: Path
) -> int:
    """Predict on images; the number of those that could be read."""
    source = ImageFiles(inputs)
    images = PredictedImages(detector, settings, source)
    classes = Classes(detector.class_names, detector.category_ids)
    with closing(PredictionOutput(folder, settings.writers, classes)) as output:
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
    return readable


def _predict_videos(
    detector: Detector, settings: PredictSettings, inputs: Inputs, folder: Path
) -> VideoSummary:
    """Predict on the videos, after the images."""
    is_single = len(inputs.videos) == 1 and not inputs.images
    try:
        return predict_videos(detector, settings, inputs.videos, folder, is_single=is_single)
    except (KeyboardInterrupt, Stopped):
        if inputs.images:
            print("the images are done: resume=true skips them", file=sys.stderr)
        raise


def _settings(arguments: list[str]) -> PredictSettings:
    """The settings for a run or an exported file; only a run imports torch and Hydra."""
    if files := exported_checkpoints(arguments):
        return exported_settings(files, arguments)
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
