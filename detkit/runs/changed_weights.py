"""Change some weights of a checkpoint."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from torch import Tensor

from detkit.files import PART, replacing
from detkit.runs.checkpoint import PREFIX
from detkit.runs.checkpoint_writer import CheckpointFile
from detkit.runs.tensor_file import read_tensors


def change_weights(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Replace tensors of the detector in a checkpoint; without any, the file stays as it is.

    A reader sees the old file or the new one. If the file has a second name, as `best.ckpt` and
    `last.ckpt` may share one file, that one keeps the old content.

    Args:
        path: The checkpoint.
        tensors: The new values, by their names in the detector.

    Raises:
        UserError: The checkpoint is damaged.
        OSError: The disk is full or not writable.
    """
    if not tensors:
        return
    content = read_tensors(path)
    for name, value in tensors.items():
        content["state_dict"][PREFIX + name] = value.cpu()
    with replacing(path, path.with_suffix(PART)) as part:
        CheckpointFile().save_checkpoint(content, part)
