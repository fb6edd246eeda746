"""Measure test-time augmentation and ensembles on a data set."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch

from detkit.api.augmented_backend import AugmentedBackend
from detkit.api.backend import Backend
from detkit.api.evaluation import Evaluation
from detkit.api.image_inputs import ImageToRead
from detkit.api.merged_backend import MergedBackend
from detkit.api.tiled_backend import TiledBackend
from detkit.assembly import Classes
from detkit.config.overrides import quoted_value
from detkit.errors import UserError
from detkit.inference.tiled_batches import DetectedBatch
from detkit.inference.tiling import Tiling, tiling_in_words, tiling_of
from detkit.structures import Batch, Detections

# What was decided when the detectors were loaded.
_LOADED = ("model", "augmentation", "image_size", "tta", "merge", "ckpt_weights")


def evaluate_backend(
    backend: AugmentedBackend | MergedBackend, data: str | None, overrides: Sequence[str]
) -> dict[str, float]:
    """The metrics of a backend; see `Detector.evaluate`.

    Raises:
        UserError: An override changes a network, or is wrong.
    """
    for word in overrides:
        if word.lstrip("+~").replace("/", ".").partition("=")[0].split(".")[0] in _LOADED:
            raise UserError(
                f"'{word}' changes a detector that is loaded already: pass it to detkit.load."
            )
    path = [] if data is None else [f"data.path={quoted_value(data)}"]
    tiling, words = tiling_in_words([*overrides, *path])
    config = backend.evaluation_config(words)
    with torch.random.fork_rng(devices=()):  # the program's random numbers stay the same
        return backend_evaluation(backend, config, tiling).run().flat_numbers()


def backend_evaluation(
    backend: Backend,
    config: Mapping[str, Any],
    tiling: Tiling | None = None,
) -> Evaluation:
    """Prepare an evaluation in which a backend prepares each image itself.

    Args:
        backend: The detector.
        config: From its `evaluation_config`.
        tiling: The tiles to detect in; None takes those of the configuration, if any.

    Raises:
        UserError: The data set cannot be read, or has no such split.
    """
    whole = {
        "data": {**config["data"], "validation_batch_size": 1},
        "augmentation": {**config["augmentation"], "evaluation": {}, "pad_multiple": 1},
    }
    classes = Classes(list(backend.class_names), list(backend.category_ids))
    tiles = tiling or tiling_of(config.get("tiling"))
    detector = backend if tiles is None else TiledBackend(backend, tiles)
    return Evaluation({**config, **whole}, classes, partial(_detect, detector))


def _detect(backend: Backend, loader: Iterable[Batch]) -> Iterator[DetectedBatch]:
    """Detect in batches of one image without padding, as it was decoded."""
    for batch in loader:
        pixels = batch.images[0].permute(1, 2, 0).numpy()
        path = Path(batch.paths[0])
        image = ImageToRead(pixels.view, path, f"the image '{path}'")
        detections = backend.predict([backend.prepare(image)])
        yield batch, batch.without_blank([Detections.of(arrays) for arrays in detections])
