"""What a file says about itself, and errors of files that an engine cannot use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from detkit.errors import UserError
from detkit.structures.exported import METADATA_KEY, ExportedModel

_LONGEST_REASON = 200  # letters of an engine's own message
_IMAGES = 4  # axes of a batch of images


def model_of(entries: Mapping[str, str], path: Path, expected: str) -> ExportedModel:
    """The metadata of a file.

    Args:
        entries: All that is stored beside its graph.
        path: The file.
        expected: What detkit takes, for the message.

    Raises:
        UserError: detkit's entry is missing or damaged.
    """
    if METADATA_KEY in entries:
        return ExportedModel.from_json(entries[METADATA_KEY], str(path))
    # Its keys name the classes, but its graphs take other values and return other boxes.
    writer = "Ultralytics wrote it" if {"names", "stride", "task"} <= entries.keys() else ""
    raise UserError(
        f"{path}: has no detkit metadata{writer and f' ({writer})'}, which holds class names, how "
        f"images are resized, and what the outputs mean: expected {expected}."
    )


def require_contract(
    path: Path, model: ExportedModel, shape: Sequence[Any], outputs: Sequence[str]
) -> None:
    """Check that a graph takes and returns what its metadata promise.

    Args:
        path: The file.
        model: Its metadata.
        shape: The shape of its input.
        outputs: The names of its outputs.

    Raises:
        UserError: It does not.
    """
    if len(shape) != _IMAGES or shape[1] not in (model.channels, None):
        lengths = " x ".join("?" if length is None else str(length) for length in shape)
        raise UserError(
            f"{path}: takes an input of {lengths}; expected images with {model.channels} "
            f"channels: batch x {model.channels} x height x width."
        )
    names = model.outputs
    if not set(names) <= set(outputs):
        raise UserError(
            f"{path}: returns {', '.join(outputs)}; expected {', '.join(names)} (nms="
            f"{str(model.nms).lower()} in its metadata): export it again with `detkit export`."
        )


def missing_package(path: Path, engine: str, package: str) -> UserError:
    """The error for a package that is not installed; the extra has the package's name."""
    return UserError(
        f"{path}: needs {engine}, which is not installed: pip install {package}, or "
        f"pip install 'detkit[{package}]'."
    )


def without_gpu(path: Path, device: str, reason: str) -> UserError:
    """The error for a device that an engine cannot use."""
    return UserError(f"device={device}: cannot run {path} there ({reason}); use device=cpu.")


def damaged_file(path: Path, engine: str, reason: str, remedy: str | None) -> UserError:
    """The error for a file that an engine cannot read.

    Args:
        path: The file.
        engine: The engine's name.
        reason: Its own message.
        remedy: What to do; None if the file is damaged.
    """
    if remedy is not None:
        return UserError(f"{path}: {engine} cannot read this file: {remedy}.")
    words = " ".join(reason.split())
    shortened = words[-_LONGEST_REASON:] if len(words) > _LONGEST_REASON else words
    return UserError(
        f"{path}: {engine} cannot read this file; it is damaged, cut short or of another kind "
        f"({shortened}): export it again."
    )
