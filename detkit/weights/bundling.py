"""Bundle a checkpoint with the facts that its run recorded."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

from detkit.runs.bundle import Bundle, bundle_at, write_bundle
from detkit.runs.checkpoint import Checkpoint
from detkit.runs.layout import BUNDLE, RunFolder
from detkit.runs.score_threshold import measured_class_thresholds, measured_threshold
from detkit.runs.tensor_file import mapping_in


def bundle_checkpoint(
    checkpoint: Checkpoint, folder: Path, *, shorten_paths: bool = False
) -> list[str]:
    """Write a checkpoint as a bundle, with versions and data fingerprint of its run.

    Args:
        checkpoint: The checkpoint.
        folder: The bundle's folder, which must not exist.
        shorten_paths: Whether to keep only the last name of absolute paths in the configuration,
            which may contain a user's name.

    Returns:
        The paths that were shortened.

    Raises:
        UserError: The folder is there already or cannot be written.
    """
    # Empty if the checkpoint is in no run folder.
    about = mapping_in(RunFolder.of_checkpoint(checkpoint.path.resolve()).environment)
    # The location of the run means nothing elsewhere, and may contain a user name.
    config = {k: v for k, v in checkpoint.config.items() if k not in ("run_folder", "ckpt")}
    shortened: list[str] = []
    if shorten_paths:
        config = _with_short_paths(config, shortened)
    record = replace(checkpoint.record, config=config)
    if record.data is None and isinstance(about.get("data"), dict):
        record = replace(record, data=about["data"])
    versions = about.get("versions")
    bundle = Bundle(
        record=record,
        weights=checkpoint.weights,
        epoch=checkpoint.epoch,
        score_threshold=measured_threshold(checkpoint.path),
        class_thresholds=measured_class_thresholds(checkpoint.path),
        metrics=_metrics(checkpoint.path),
        versions=versions if isinstance(versions, dict) else {"detkit": record.version},
    )
    write_bundle(bundle, folder)
    return sorted(set(shortened))


def _metrics(path: Path) -> dict[str, float] | None:
    """What the run measured for its best checkpoint over all classes; a bundle keeps it."""
    folder, run = bundle_at(path), RunFolder.of_checkpoint(path.resolve())
    if folder is not None:
        content = mapping_in(folder / BUNDLE).get("metrics")
    else:
        is_best = path.resolve() == run.best_checkpoint.resolve()
        content = mapping_in(run.results) if is_best else None
    if not isinstance(content, dict) or not content:
        return None
    return {
        name: value
        for name, value in content.items()
        if isinstance(value, int | float) and math.isfinite(value) and "/" not in name
    }


def _with_short_paths(value: Any, shortened: list[str]) -> Any:
    """Values in which absolute paths are replaced by their last name, and listed."""
    if isinstance(value, dict):
        return {key: _with_short_paths(item, shortened) for key, item in value.items()}
    if isinstance(value, list):
        return [_with_short_paths(item, shortened) for item in value]
    if isinstance(value, str) and value.startswith(("/", "~")) and len(Path(value).parts) > 1:
        shortened.append(value)
        return Path(value).name
    return value
