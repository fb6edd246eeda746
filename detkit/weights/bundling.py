"""Bundle a checkpoint with the facts that its run recorded."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from detkit.runs.bundle import Bundle, write_bundle
from detkit.runs.checkpoint import Checkpoint
from detkit.runs.layout import RunFolder
from detkit.runs.score_threshold import measured_threshold
from detkit.runs.tensor_file import mapping_in


def bundle_checkpoint(checkpoint: Checkpoint, folder: Path) -> None:
    """Write a checkpoint as a bundle, with versions and data fingerprint of its run.

    Raises:
        UserError: The folder is there already or cannot be written.
    """
    # Empty if the checkpoint is in no run folder.
    about = mapping_in(RunFolder.of_checkpoint(checkpoint.path.resolve()).environment)
    # The location of the run means nothing elsewhere, and may contain a user name.
    config = {k: v for k, v in checkpoint.config.items() if k not in ("run_folder", "ckpt")}
    record = replace(checkpoint.record, config=config)
    if record.data is None and isinstance(about.get("data"), dict):
        record = replace(record, data=about["data"])
    versions = about.get("versions")
    bundle = Bundle(
        record=record,
        weights=checkpoint.weights,
        epoch=checkpoint.epoch,
        score_threshold=measured_threshold(checkpoint.path),
        versions=versions if isinstance(versions, dict) else {"detkit": record.version},
    )
    write_bundle(bundle, folder)
