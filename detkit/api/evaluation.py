"""Measuring: a checkpoint on a data set, or a file of detections."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import nn

from detkit import assembly
from detkit.api.tiled_evaluation import recommend_tiles, refuse_training_tiles, with_tiles
from detkit.api.view_settings import configured_views
from detkit.assembly import Classes
from detkit.data.detection_dataset import DetectionDataset
from detkit.data.evaluation_split import measured_split
from detkit.data.outline_decoding import decode_outlines
from detkit.data.unreadable_images import describe_unreadable
from detkit.errors import ConfigError, UserError
from detkit.evaluation.metric_intervals import interval_settings
from detkit.evaluation.results_file import read_rows
from detkit.evaluation.results_matching import match_rows
from detkit.export.graph import largest_stride
from detkit.inference.detecting import choose_device, detect
from detkit.inference.measuring import Measurement, measure
from detkit.inference.tiled_batches import Detect, DetectedBatch
from detkit.inference.tiling import tiling_of
from detkit.pixels.pixel_format import PixelFormat
from detkit.runs.checkpoint import Checkpoint, load_weights
from detkit.structures import Batch, DatasetIndex, Detections, Target

_BATCH = 64  # images of a file of detections that are measured at once


class DetectWith(Protocol):
    """Runs a detector over batches, as `detect` does."""

    def __call__(
        self, detector: nn.Module, loader: Iterable[Batch], device: torch.device
    ) -> Iterator[DetectedBatch]:
        """Yield each batch with its detections in original coordinates."""
        ...


class Evaluation:
    """Labelled images, and a detector to measure on them.

    Args:
        config: The checked configuration of the root `evaluate`.
        classes: What the detector detects.
        detect: Yields each batch of images with its detections in original coordinates.
        masks: Whether to read the objects' masks where the configuration has no model.

    Attributes:
        split: The images, under the data set's name for them.
        results: After `run`, the id and the detections of each image.
        category_ids: The data set's id of each label.
        metric: What is measured.
        pixels: Channels and value range of the images.

    Raises:
        UserError: The data set cannot be read, or has no such split.
    """

    def __init__(
        self, config: Mapping[str, Any], classes: Classes, detect: Detect, *, masks: bool = False
    ) -> None:
        self._classes, self._detect = classes, detect
        data = assembly.build_data(config, masks=masks).with_classes(classes.names)
        self.split = measured_split(data, config["split"])
        self._loader = data.measuring_loader(self.split.index)
        self.metric = assembly.build_metric(config, classes)
        self._intervals = interval_settings(config["intervals"], self.metric)
        self.category_ids, self.pixels = classes.category_ids, data.pixels
        self.results: list[tuple[int, Detections]] = []

    def __len__(self) -> int:
        return len(self._loader)

    def run(
        self, track: Callable[[Iterator[DetectedBatch]], Iterable[DetectedBatch]] = iter
    ) -> Measurement:
        """Run the detector on all images and measure its detections.

        Args:
            track: Wraps the batches, such as in a progress bar; `len(self)` is their number.
        """
        self.results.clear()
        detected = track(self._detect(self._loader))
        notes = partial(describe_unreadable, self._loader)
        return measure(
            self.metric,
            self._classes.names,
            self._batches(detected),
            notes,
            intervals=self._intervals,
        )

    def _batches(
        self, detected: Iterable[DetectedBatch]
    ) -> Iterator[tuple[list[int], list[Detections], list[Target]]]:
        for batch, detections in detected:
            encoded = [image.encoded() for image in detections]  # maps of all images fill gigabytes
            self.results.extend(zip(batch.image_ids, encoded, strict=True))
            yield batch.image_ids, encoded, batch.original_targets


def evaluation_of(
    checkpoint: Checkpoint,
    config: Mapping[str, Any],
    *,
    device: str,
    detect: DetectWith = detect,
) -> Evaluation:
    """The evaluation of a checkpoint's detector.

    Args:
        checkpoint: Its weights and class names.
        config: The checked configuration of the root `evaluate`.
        device: `auto`, `cpu`, `cuda` or `cuda:1`.
        detect: Runs the detector over batches.

    Raises:
        UserError: The data set cannot be read, has no such split, or gives other pixel values than
            the detector was trained with, its tiles are too small, or it is to be measured in
            several views, for which there is `backend_evaluation`.
    """
    if configured_views(config) is not None:
        raise UserError(
            "tta: measures here only what one network sees of whole images: use `detkit evaluate "
            "ckpt=RUN tta=... output=FOLDER`; `detkit compare` takes such folders."
        )
    require_value_range(checkpoint, config)
    classes = Classes(checkpoint.class_names, checkpoint.category_ids, checkpoint.class_counts)
    chosen_device = choose_device(device)
    detector = assembly.build_detector(config["model"], classes, fetch_weights=False)
    load_weights(detector, checkpoint)
    run = partial(detect, detector, device=chosen_device)
    tiling, stride = tiling_of(config["tiling"]), largest_stride(detector)
    recommend_tiles(checkpoint.config, tiling)
    refuse_training_tiles(config, checkpoint.config)
    whole, detect_tiles = with_tiles(config, run, tiling, stride)
    return Evaluation(whole, classes, detect_tiles)


def require_value_range(checkpoint: Checkpoint, config: Mapping[str, Any]) -> None:
    """Refuse to measure a detector on images with another `data.value_range`.

    Raises:
        ConfigError: It differs.
    """
    trained, chosen = (PixelFormat.of(c).value_range for c in (checkpoint.config, config))
    if "data" in checkpoint.config and trained != chosen:
        ranges = ["null" if r is None else str(list(r)).replace(" ", "") for r in (chosen, trained)]
        raise ConfigError(
            [
                f"data.value_range: is {ranges[0]}, and the detector was trained with {ranges[1]}: "
                f"set data.value_range={ranges[1]}."
            ]
        )


class FileEvaluation:
    """A COCO results file, and the images to measure it on; no detector runs, no image is read.

    Args:
        config: The checked configuration of the root `measure`.

    Attributes:
        split: The images, under the data set's name for them.
        notes: Lines on how rows were matched to images.
        metric: What is measured.
        pixels: Channels and value range of the images.

    Raises:
        UserError: The file or the data set cannot be read, or they do not fit together.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        refuse_training_tiles(config)
        without_transforms = {**config, "augmentation": {"train": {}, "evaluation": {}}}
        self.split = measured_split(assembly.build_data(without_transforms), config["split"])
        file = Path(config["detections"]).expanduser()
        rows = read_rows(file)
        if any(row.segmentation is not None for row in rows):  # read the data again, with masks
            data = assembly.build_data(without_transforms, masks=True)
            self.split = measured_split(data, config["split"])
        index = self.split.index
        self._classes = Classes(index.class_names, index.category_ids)
        matches = match_rows(rows, index, str(file), self.split.name)
        self.notes = matches.notes
        self._detections = matches.by_image
        self.metric = assembly.build_metric(config, self._classes)
        self._intervals = interval_settings(config["intervals"], self.metric)
        self.pixels = PixelFormat.of(config)

    def run(self) -> Measurement:
        """Measure the detections of the file."""
        batches = _all_images(self._detections, self.split.index)
        return measure(self.metric, self._classes.names, batches, intervals=self._intervals)


def _all_images(
    by_image: Mapping[int, Detections], index: DatasetIndex
) -> Iterator[tuple[list[int], list[Detections], list[Target]]]:
    """All images of a data set with their detections; images missing in the file have none."""
    dataset, nothing = DetectionDataset(index, transforms={}, seed=0), Detections.empty()
    for start in range(0, len(index), _BATCH):
        positions = range(start, min(start + _BATCH, len(index)))
        image_ids = [int(index.image_ids[position]) for position in positions]
        detections = [by_image.get(image_id, nothing) for image_id in image_ids]
        yield image_ids, detections, [_target(dataset, position) for position in positions]


def _target(dataset: DetectionDataset, position: int) -> Target:
    """The objects of an image, with their masks if those are measured."""
    target, index = dataset.target(position), dataset.index
    if index.outlines is None:
        return target
    objects = range(*index.object_offsets[position : position + 2].tolist())
    height, width = index.sizes[position].tolist()
    return replace(target, outlines=decode_outlines(index, objects, (height, width)))
