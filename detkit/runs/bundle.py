"""Bundles: a folder with weights as safetensors, the configuration as YAML, and a JSON file."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from safetensors.torch import save_file
from torch import Tensor

from detkit.errors import UserError
from detkit.files import replacing
from detkit.runs.checkpoint_record import Record, parse_record
from detkit.runs.layout import BUNDLE, BUNDLE_WEIGHTS, CONFIG
from detkit.runs.tensor_file import read_tensors

CLASS_THRESHOLDS = "class_thresholds"
_CHECKED = (BUNDLE_WEIGHTS, CONFIG)


@dataclass(frozen=True)
class Bundle:
    """The content of a bundle.

    Attributes:
        record: The configuration of the detector and its classes.
        weights: The detector's state.
        epoch: Finished epochs.
        versions: Versions of detkit and its dependencies when the detector was trained.
        score_threshold: The score with the best F1 on the run's validation images, if known.
        class_thresholds: The same for each class, by name.
        metrics: What the run measured on its validation split over all classes, if known.
    """

    record: Record
    weights: dict[str, Tensor]
    epoch: int
    versions: dict[str, Any]
    score_threshold: float | None = None
    metrics: Mapping[str, float] | None = None
    class_thresholds: Mapping[str, float] | None = None


def write_bundle(bundle: Bundle, folder: Path) -> None:
    """Write a bundle into a new folder, which appears complete or not at all.

    Raises:
        UserError: The folder exists or cannot be written.
    """
    if folder.exists():
        raise UserError(f"output={folder}: exists already: choose another folder.")
    try:
        with replacing(folder) as part:
            _write_files(bundle, part)
    except OSError as error:
        raise UserError(f"output={folder}: cannot be written: {error.strerror}.") from error


def _write_files(bundle: Bundle, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    # safetensors refuses tensors that share memory or are not contiguous
    weights = {name: value.contiguous().clone() for name, value in bundle.weights.items()}
    save_file(weights, folder / BUNDLE_WEIGHTS, {"format": "pt"})
    # a copy without shared lists, for which YAML would write references
    plain = json.loads(json.dumps(bundle.record.config))
    config = yaml.safe_dump(plain, sort_keys=False, allow_unicode=True)
    (folder / CONFIG).write_text(config, encoding="utf-8")
    # safetensors creates its file readable by the owner only; the other files follow the umask
    shutil.copymode(folder / CONFIG, folder / BUNDLE_WEIGHTS)
    record = bundle.record.plain()
    del record["config"]
    files = {name: _description(folder / name) for name in _CHECKED}
    content = {
        **record,
        "epochs": bundle.epoch,
        "score_threshold": bundle.score_threshold,
        CLASS_THRESHOLDS: bundle.class_thresholds,
        "metrics": None if bundle.metrics is None else dict(bundle.metrics),
        "versions": bundle.versions,
        "files": files,
    }
    text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
    (folder / BUNDLE).write_text(text, encoding="utf-8")


def bundle_at(path: Path) -> Path | None:
    """The folder of the bundle if the path is a bundle or a file in one, else None."""
    if path.is_dir():
        return path if (path / BUNDLE).is_file() else None
    is_inside = path.name in (BUNDLE, BUNDLE_WEIGHTS) and (path.parent / BUNDLE).is_file()
    return path.parent if is_inside else None


def read_bundle(folder: Path) -> Bundle:
    """Read a bundle after verifying the checksums of its files.

    Raises:
        UserError: A file is missing or was changed, or the record is invalid.
    """
    file = folder / BUNDLE
    content = _json(file)
    files = content.get("files")
    for name in _CHECKED:
        _require_unchanged(folder / name, files.get(name) if isinstance(files, dict) else None)
    record = parse_record({**content, "config": _config(folder / CONFIG)}, file)
    epochs, versions = content.get("epochs", 0), content.get("versions")
    return Bundle(
        record=record,
        weights=read_tensors(folder / BUNDLE_WEIGHTS),
        epoch=epochs if type(epochs) is int else 0,
        versions=versions if isinstance(versions, dict) else {},
    )


def _description(file: Path) -> dict[str, Any]:
    with file.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return {"bytes": file.stat().st_size, "sha256": digest}


def _require_unchanged(file: Path, recorded: Any) -> None:
    if not file.is_file():
        raise UserError(f"{file}: is missing from the bundle: copy the whole folder.")
    if not isinstance(recorded, dict) or recorded != _description(file):
        raise UserError(
            f"{file}: does not match its checksum in {BUNDLE}: it was changed or damaged. "
            "Copy the bundle again."
        )


def _json(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (ValueError, OSError, RecursionError) as error:
        raise UserError(
            f"{file}: is not valid JSON: it was damaged. Copy the bundle again."
        ) from error
    if not isinstance(content, dict):
        raise UserError(f"{file}: is not a bundle: expected a mapping. Copy the bundle again.")
    return content


def _config(file: Path) -> Any:
    """Read the configuration; refuse YAML references, with which a short file can expand hugely."""
    try:
        text = file.read_text(encoding="utf-8")
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(text, yaml.SafeLoader)):
            raise UserError(f"{file}: contains YAML references, which detkit never writes.")
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise UserError(
            f"{file}: is not valid YAML: it was damaged. Copy the bundle again."
        ) from error
