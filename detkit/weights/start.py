"""Weights in a configured detector: fine-tuning, and `detkit import`."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from detkit import assembly
from detkit.assembly import Classes
from detkit.detectors.freezing import frozen_parameters, read_freezing
from detkit.errors import UserError
from detkit.files import replacing
from detkit.runs.checkpoint import PREFIX, Checkpoint, require_fit
from detkit.runs.checkpoint_record import RECORD, Record
from detkit.version import __version__
from detkit.weights.class_layers import class_rows
from detkit.weights.class_names import ClassList, place_in_slots, read_class_list
from detkit.weights.coverage_report import coverage_text
from detkit.weights.published import fetch
from detkit.weights.source import name_classes, read_source
from detkit.weights.transfer import Coverage, transfer
from detkit.weights.unlabelled_classes import unlabelled_classes
from detkit.weights.weight_source import WeightSource

LOGGER = logging.getLogger("detkit.weights")
_OVERFLOW = "Storage size calculation overflowed"  # how PyTorch counts more bytes than there are


@dataclass(frozen=True)
class Imported:
    """The result of `import_weights`.

    Attributes:
        path: The checkpoint that was written.
        coverage: Which tensors were copied.
        report: The coverage as text.
    """

    path: Path
    coverage: Coverage
    report: str


def start_from(
    detector: nn.Module, weights: str, model: Mapping[str, Any], classes: Classes
) -> str:
    """Copy the weights of a file into a detector, as far as they fit.

    Args:
        detector: Changed in place.
        weights: A run, checkpoint, bundle or weight file.
        model: The detector's configuration.
        classes: What it detects.

    Returns:
        The coverage, as text.

    Raises:
        UserError: The file cannot be read, or nothing of it fits.
    """
    source = read_source(weights)
    coverage = transfer(detector, source, classes.names, class_rows(model, classes))
    for warning in unlabelled_classes(coverage, source, classes):
        LOGGER.warning("%s", warning)
    return coverage_text(coverage, source)


def check_start(config: Mapping[str, Any]) -> None:
    """Download published weights, and refuse parts and weights that do not fit.

    To be called before any data is read and the run folder is made.

    Args:
        config: The checked configuration of a training.

    Raises:
        ConfigError: Parts do not fit each other.
        UserError: `freeze` names no part of the detector, or weights cannot be downloaded or
            nothing of them fits.
    """
    assembly.refuse_misfits(config["model"])
    freezing = read_freezing(config["freeze"])
    if freezing is not None:
        detector = _described(config["model"], Classes(["a", "b"], [1, 2]), "model:")
        if detector is not None:
            frozen_parameters(detector, freezing.parts)
    if config["ckpt"] is not None:  # it holds all weights
        return
    fetch(config)
    if config["weights"] is not None:
        refuse_foreign_weights(config["weights"], config["model"])


def refuse_foreign_weights(weights: str, model: Mapping[str, Any]) -> None:
    """Refuse weights that do not fit a detector at all, before any data is read.

    Args:
        weights: A run, checkpoint, bundle or weight file.
        model: The detector's configuration.

    Raises:
        UserError: The file cannot be read, or nothing of it fits.
    """
    source = read_source(weights)
    names = source.slots.used() if source.slots else (["a", "b"], [1, 2])
    classes = Classes(*names, are_placeholders=True)  # the data's own may differ
    detector = _described(model, classes, "model:")
    if detector is None:
        return
    rows = class_rows(model, classes)
    try:
        transfer(detector, source, classes.names, rows)
    except UserError as error:
        stored = source.checkpoint.config.get("model") if source.checkpoint else None
        if not isinstance(stored, Mapping):
            raise
        raise UserError(
            f"{error} To train the model that they belong to ({model_text(stored)}), set "
            f"weights={weights} model=checkpoint"
        ) from error


def refuse_other_shapes(checkpoint: Checkpoint, model: Mapping[str, Any]) -> None:
    """Compare a configured detector with a checkpoint's weights before it takes any memory.

    A checkpoint may come from anybody, and its configuration may ask for layers of any size.

    Raises:
        UserError: Names or shapes differ.
    """
    classes = Classes(checkpoint.class_names, checkpoint.category_ids)
    where = f"{checkpoint.path}: its configuration, to which its weights do not fit,"
    detector = _described(model, classes, where)
    if detector is not None:
        require_fit(detector.state_dict(), checkpoint)


def _described(model: Mapping[str, Any], classes: Classes, where: str) -> Any:
    """Build the detector without memory; None if one of its parts cannot be built that way.

    Args:
        model: Its configuration.
        classes: What it detects.
        where: Names the configuration, to begin a message with.

    Raises:
        UserError: Its parts do not fit each other, or a tensor is too large for any memory.
    """
    try:
        return assembly.describe_on_meta(model, classes)
    except UserError:
        raise
    except Exception as error:
        if _OVERFLOW in str(error):
            raise UserError(
                f"{where} has a tensor too large for any machine ({error}): lower its channels, "
                "or take another copy of the file."
            ) from error
        LOGGER.debug("the detector cannot be built on the meta device", exc_info=True)
        return None


def model_text(model: Mapping[str, Any]) -> str:
    """A model in a few words: its name and the names of its parts.

    All dense heads have one name, so their layers and assigner are named instead.
    """
    parts = {key: value for key, value in model.items() if isinstance(value, Mapping)}
    named = [f"{key} {value['name']}" for key, value in parts.items() if "name" in value]
    head = parts.get("head", {})
    if isinstance(head.get("layers"), Mapping) and isinstance(head.get("assigner"), Mapping):
        details = f"head {head['layers'].get('name')} with assigner {head['assigner'].get('name')}"
        named = [details if text.startswith("head ") else text for text in named]
    return f"{model.get('name')}: {', '.join(named)}"


def import_weights(config: Mapping[str, Any], source: WeightSource) -> Imported:
    """Write a checkpoint with a file's weights in the configured detector.

    Args:
        config: The checked configuration of the root `import`.
        source: The file's weights.

    Raises:
        UserError: The classes are not known, nothing fits, or the output cannot be written.
    """
    output = _output(config["output"], source.path)
    source = name_classes(source, config["classes"])
    classes = _classes(config["new_classes"], source)
    torch.manual_seed(config["seed"])
    detector = assembly.build_detector(config["model"], classes, fetch_weights=False)
    coverage = transfer(detector, source, classes.names, class_rows(config["model"], classes))
    blocks = ("model", "augmentation", "metric")
    record = Record(
        config={key: json.loads(json.dumps(config[key])) for key in blocks},
        class_names=classes.names,
        category_ids=classes.category_ids,
        version=__version__,
        plugins=list(config["plugins"]),
        data=source.checkpoint.record.data if source.checkpoint else None,
        source={"file": source.path.name, "kind": source.kind, "sha256": _sha256(source.path)},
    )
    state = {f"{PREFIX}{name}": value for name, value in detector.state_dict().items()}
    _save({"state_dict": state, RECORD: record.plain()}, output)
    return Imported(output, coverage, coverage_text(coverage, source))


def _output(name: str | None, path: Path) -> Path:
    output = Path(name) if name else Path(f"{path.stem}.ckpt")
    if output.exists():
        raise UserError(f"output={output}: exists already: choose another file.")
    return output


def _classes(new_classes: str | Sequence[str] | None, source: WeightSource) -> Classes:
    """The classes that the checkpoint will detect."""
    if new_classes is not None:
        names = read_class_list(new_classes, "new_classes")
        return _all_of(names, "new_classes")
    if source.is_backbone:
        raise UserError(
            f"{source.path} ({source.kind}) has no classes: list the classes to detect with "
            f"new_classes=[...], or train from it: detkit train weights={source.path}"
        )
    if source.slots is None:
        raise UserError(
            f"{source.path} holds no class names: set classes to a list or a file of its names, or "
            "new_classes=[...] to the classes to detect instead."
        )
    return Classes(*source.slots.used())


def _all_of(classes: ClassList, key: str) -> Classes:
    if None in classes.names:
        raise UserError(f"{key}: a class has no name: leave it out.")
    return Classes(*place_in_slots(classes, len(classes.names), key).used())


def _save(content: dict[str, Any], output: Path) -> None:
    """Write a file; it appears whole or not at all."""
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        with replacing(output) as part:
            torch.save(content, part)
    except (OSError, RuntimeError) as error:  # torch reports a full disk as RuntimeError
        raise UserError(f"output={output}: cannot be written: {error}.") from error


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
