"""Checkpoints as plain values: tensors and a record, never objects that run code when read."""

from __future__ import annotations

import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from detkit.errors import UserError

RECORD = "detkit"
_PREFIX = "detector."


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint holds for building its detector again.

    Attributes:
        path: The file.
        config: The run's whole configuration.
        class_names: The C names, in label order.
        category_ids: The C ids of the data set's own format.
        weights: The detector's state; the averaged one where the run kept an average.
        epoch: Epochs that were finished.
    """

    path: Path
    config: dict[str, Any]
    class_names: list[str]
    category_ids: list[int]
    weights: dict[str, Tensor]
    epoch: int


def find_checkpoint(place: str, prefer: str = "best") -> Path:
    """The file that a run folder, a checkpoints folder or a file name stands for.

    Args:
        place: A file, or a folder that holds `checkpoints/best.ckpt` or `last.ckpt`.
        prefer: `best` to measure and predict, `last` to go on training.

    Raises:
        UserError: There is no checkpoint.
    """
    path = Path(place)
    if path.is_file():
        return path
    if not path.is_dir():
        raise UserError(
            f"ckpt={place}: there is no such file or folder; give a run folder or a file."
        )
    other = "last" if prefer == "best" else "best"
    for folder in (path / "checkpoints", path):
        for name in (prefer, other):
            if (folder / f"{name}.ckpt").is_file():
                return folder / f"{name}.ckpt"
    raise UserError(
        f"ckpt={place}: the folder holds no checkpoints/best.ckpt or last.ckpt; a run writes the "
        "first one after its first validation."
    )


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint with `weights_only=True`, so that nothing in it can run.

    Raises:
        UserError: The file is damaged, holds Python objects, or was not written by detkit.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except pickle.UnpicklingError as error:
        raise UserError(
            f"{path}: holds Python objects, which detkit never loads since they can run code; "
            "a detkit checkpoint holds tensors and plain values only."
        ) from error
    except (RuntimeError, EOFError, OSError, ValueError) as error:
        raise UserError(
            f"{path}: cannot be read as a checkpoint: it is damaged or cut short."
        ) from error
    record = content.get(RECORD) if isinstance(content, dict) else None
    if not isinstance(record, dict) or "state_dict" not in content:
        raise UserError(f"{path}: was not written by detkit: it has no '{RECORD}' record.")
    state = content["state_dict"]
    weights = {k.removeprefix(_PREFIX): v for k, v in state.items() if k.startswith(_PREFIX)}
    return Checkpoint(
        path=path,
        config=record["config"],
        class_names=list(record["class_names"]),
        category_ids=list(record["category_ids"]),
        weights=weights,
        epoch=int(content.get("epoch", 0)) + 1,
    )


def load_weights(detector: nn.Module, checkpoint: Checkpoint) -> None:
    """Put a checkpoint's weights into a detector of the same configuration.

    Raises:
        UserError: Names or shapes differ; the message shows the first few of each kind.
    """
    own = detector.state_dict()
    missing = sorted(own.keys() - checkpoint.weights.keys())
    unused = sorted(checkpoint.weights.keys() - own.keys())
    shared = own.keys() & checkpoint.weights.keys()
    reshaped = sorted(k for k in shared if own[k].shape != checkpoint.weights[k].shape)
    if missing or unused or reshaped:
        kinds = {"missing": missing, "unused": unused, "of another shape": reshaped}
        found = "; ".join(
            f"{len(names)} {kind} ({_some(names)})" for kind, names in kinds.items() if names
        )
        raise UserError(
            f"{checkpoint.path}: its weights do not fit this detector: {found}. Use the model "
            "that it was trained with: leave out the model's overrides."
        )
    detector.load_state_dict(checkpoint.weights)


def _some(names: list[str], shown: int = 3) -> str:
    return ", ".join(names[:shown]) + (", ..." if len(names) > shown else "")
