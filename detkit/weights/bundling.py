"""A checkpoint and what its run knew, as a bundle."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from detkit.inference.bundle import Bundle, write_bundle
from detkit.inference.checkpoint import Checkpoint


def bundle_checkpoint(checkpoint: Checkpoint, folder: Path) -> None:
    """Write a checkpoint as a bundle, with versions and data fingerprint of its run.

    Raises:
        UserError: The folder is there already or cannot be written.
    """
    about = _environment(checkpoint.path)
    # Where the run lay says nothing to others, and may name its user.
    config = {k: v for k, v in checkpoint.config.items() if k not in ("run_folder", "ckpt")}
    record = replace(checkpoint.record, config=config)
    if record.data is None and isinstance(about.get("data"), dict):
        record = replace(record, data=about["data"])
    versions = about.get("versions")
    bundle = Bundle(
        record=record,
        weights=checkpoint.weights,
        epoch=checkpoint.epoch,
        versions=versions if isinstance(versions, dict) else {"detkit": record.version},
    )
    write_bundle(bundle, folder)


def _environment(path: Path) -> dict[str, Any]:
    """What the run of a checkpoint wrote of its surroundings; empty where it lies elsewhere."""
    file = path.resolve().parent.parent / "environment.json"
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
