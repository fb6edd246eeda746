"""Measure an exported file on a data set."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import torch

from detkit.api.evaluation import Evaluation
from detkit.api.tiled_evaluation import refuse_training_tiles, with_tiles
from detkit.api.view_evaluation import backend_evaluation
from detkit.api.view_settings import views_in_words
from detkit.assembly import Classes
from detkit.config.compose import compose
from detkit.config.override_text import value_of
from detkit.config.overrides import quoted_value
from detkit.errors import UserError
from detkit.inference.exported_batches import detect_exported
from detkit.inference.tiling import tiling_in_words

if TYPE_CHECKING:
    from detkit.api.exported_backend import ExportedBackend

_FIXED = ("model", "augmentation", "image_size")  # by the export


def evaluate_exported(
    backend: ExportedBackend, data: str | None, overrides: Sequence[str]
) -> dict[str, float]:
    """The metrics of an exported file; see `Detector.evaluate`."""
    path = [] if data is None else [f"data.path={quoted_value(data)}"]
    with torch.random.fork_rng(devices=()):  # the program's random numbers stay the same
        return exported_evaluation(backend, [*overrides, *path]).run().flat_numbers()


def exported_evaluation(backend: ExportedBackend, words: Sequence[str]) -> Evaluation:
    """Prepare the evaluation of an exported file; see `exported_config`.

    The words may also set `tiling`, `tta` and `merge`.
    """
    views, words = views_in_words(words, 1)
    tiling, words = tiling_in_words(words)
    if views is not None:
        config = exported_config(backend, words)
        return backend_evaluation(views.backend([backend]), config, tiling)
    model, config = backend.engine.model, exported_config(backend, words)
    classes = Classes(list(model.class_names), list(model.category_ids))
    run = partial(detect_exported, backend.predictor)
    whole, detect = with_tiles(config, run, tiling, model.stride)
    return Evaluation(whole, classes, detect, masks=model.mask_size is not None)


def exported_config(backend: ExportedBackend, words: Sequence[str]) -> dict[str, Any]:
    """The configuration of the evaluation of an exported file.

    Args:
        backend: The file in its engine.
        words: Overrides of `data`, `metric`, `split`, `tiling` and `output`, as `detkit evaluate`
            takes them.

    Raises:
        UserError: No data set is named or it cannot be read, or an override is wrong.
    """
    for word in words:
        key = word.lstrip("+~").partition("=")[0]
        if key.replace("/", ".").split(".")[0] in _FIXED:
            raise UserError(
                f"'{word}' has no effect on {backend.source}, whose network and image sizes were "
                "fixed when it was exported: pass it to `detkit export`."
            )
    names_data = any(word.startswith(("data=", "data.reader")) for word in words)
    if value_of(words, "data.path") is None and not names_data:
        raise UserError(
            f"{backend.source}: an exported file names no data set to measure it on: add "
            'data.path=DATA (detector.evaluate("DATA") in programs).'
        )
    model = backend.engine.model
    # the root's keys are those of a file of detections: no model, no augmentation
    config = compose("measure", ["detections=exported", *words])
    refuse_training_tiles(config)
    config["augmentation"] = {
        "train": {},
        "evaluation": model.resize,
        "pad_multiple": model.pad_multiple,
    }
    config["data"].update(channels=model.channels, value_range=model.value_range)
    return config
