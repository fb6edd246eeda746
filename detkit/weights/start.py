"""Where weights meet a configured detector: fine-tuning, and `detkit import`."""

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
from detkit.errors import UserError
from detkit.files import replacing
from detkit.runs.checkpoint import PREFIX, Checkpoint, require_fit
from detkit.runs.checkpoint_record import RECORD, Record
from detkit.version import __version__
from detkit.weights.class_layers import class_rows
from detkit.weights.class_names import ClassList, place_in_slots, read_class_list
from detkit.weights.coverage_report import coverage_text
from detkit.weights.source import WeightSource, name_classes, read_source
from detkit.weights.transfer import Coverage, transfer

LOGGER = logging.getLogger("detkit.weights")
_OVERFLOW = "Storage size calculation overflowed"  # how PyTorch counts more bytes than there are


@dataclass(frozen=True)
class Imported:
    """What `import_weights` made.

    Attributes:
        path: The checkpoint that was written.
        coverage: What of the file is in it.
        report: The same as text.
    """

    path: Path
    coverage: Coverage
    report: str


def start_from(detector: nn.Module, place: str, model: Mapping[str, Any], classes: Classes) -> str:
    """Let a detector start from the weights of a file, as far as they fit.

    Args:
        detector: Changed in place.
        place: A run, checkpoint, bundle or weight file.
        model: The detector's configuration.
        classes: What it detects.

    Returns:
        The coverage, as text.

    Raises:
        UserError: The file cannot be read, or nothing of it fits.
    """
    source = read_source(place)
    coverage = transfer(detector, source, classes.names, class_rows(model, classes))
    return coverage_text(coverage, source)


def refuse_foreign_weights(place: str, model: Mapping[str, Any]) -> None:
    """Find out whether anything of a file fits a detector before any data is read.

    Args:
        place: A run, checkpoint, bundle or weight file.
        model: The detector's configuration.

    Raises:
        UserError: The file cannot be read, or nothing of it fits.
    """
    source = read_source(place)
    names = source.slots.used() if source.slots else (["a", "b"], [1, 2])
    classes = Classes(*names)
    detector = _described(model, classes, "model:")
    if detector is None:
        return
    rows = class_rows(model, classes)
    try:
        transfer(detector, source, classes.names, rows)
    except UserError as error:
        known = source.checkpoint.config.get("model") if source.checkpoint else None
        if not isinstance(known, Mapping):
            raise
        raise UserError(
            f"{error} The model that they were made for ({model_text(known)}) is trained with: "
            f"weights={place} model=checkpoint"
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
    """The detector without memory; None where a part of it cannot be built so.

    Args:
        model: Its configuration.
        classes: What it detects.
        where: Whose configuration it is, to begin a message with.

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
                f"{where} has a tensor that no machine has room for ({error}): lower its channels, "
                "or take another copy of the file that it is from."
            ) from error
        LOGGER.debug("the detector cannot be built on the meta device", exc_info=True)
        return None


def model_text(model: Mapping[str, Any]) -> str:
    """A model's configuration in a few words: its name, and those of its parts."""
    parts = {key: value for key, value in model.items() if isinstance(value, Mapping)}
    named = [f"{key} {value['name']}" for key, value in parts.items() if "name" in value]
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
    kept = ("model", "augmentation", "metric")
    record = Record(
        config={key: json.loads(json.dumps(config[key])) for key in kept},
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


def _output(wanted: str | None, path: Path) -> Path:
    output = Path(wanted) if wanted else Path(f"{path.stem}.ckpt")
    if output.exists():
        raise UserError(f"output={output}: exists already: choose another file.")
    return output


def _classes(new_classes: str | Sequence[str] | None, source: WeightSource) -> Classes:
    """What the checkpoint will detect."""
    if new_classes is not None:
        names = read_class_list(new_classes, "new_classes")
        return _all_of(names, "new_classes")
    if source.is_backbone:
        raise UserError(
            f"{source.path} ({source.kind}) brings no classes: say what to detect with "
            f"new_classes=[...], or start a training from it: detkit train weights={source.path}"
        )
    if source.slots is None:
        raise UserError(
            f"{source.path}: holds no class names: give those of its classes with classes=[...], "
            "or a file of them, or say with new_classes=[...] what to detect instead."
        )
    return Classes(*source.slots.used())


def _all_of(given: ClassList, key: str) -> Classes:
    if None in given.names:
        raise UserError(f"{key}: a class has no name: leave it out.")
    return Classes(*place_in_slots(given, len(given.names), key).used())


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
