"""Checkpoints as plain values: tensors and a record, never objects that run code when read."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from detkit.errors import UserError
from detkit.remote.addresses import local_source
from detkit.runs.bundle import bundle_at, read_bundle
from detkit.runs.checkpoint_record import RECORD, Record, parse_record
from detkit.runs.layout import BEST, BUNDLE, CHECKPOINTS, LAST, RunFolder
from detkit.runs.tensor_file import read_tensors
from detkit.structures import ClassCounts

PREFIX = "detector."
# Parts whose weights a detector may leave out: boxes and scores by softmax do not need them.
_OPTIONAL_PARTS = (".mask_head.", ".svms.")
_SVMS_FITTED = ".svms.fitted"
_log = logging.getLogger("detkit.inference")


@dataclass(frozen=True)
class Checkpoint:
    """The part of a checkpoint from which its detector is rebuilt.

    Attributes:
        path: The file.
        record: The configuration of the detector and its classes.
        weights: The detector's state; the moving average if the run kept one.
        epoch: Finished epochs.
        resumable: Whether it also holds the state of a training.
    """

    path: Path
    record: Record
    weights: dict[str, Tensor]
    epoch: int
    resumable: bool

    @property
    def config(self) -> dict[str, Any]:
        """The run's whole configuration."""
        return self.record.config

    @property
    def class_names(self) -> list[str]:
        """The C names, in label order."""
        return self.record.class_names

    @property
    def category_ids(self) -> list[int]:
        """The C ids of the data set's own format."""
        return self.record.category_ids

    @property
    def class_counts(self) -> ClassCounts | None:
        """How often each class occurs in the training images; None in older checkpoints."""
        return self.record.class_counts


def find_checkpoint(source: str, prefer: str = "best", key: str = "ckpt") -> Path:
    """Find the checkpoint file in a run folder, a folder of checkpoints or a bundle.

    Args:
        source: A file, a bundle, or a folder that holds `checkpoints/best.ckpt` or `last.ckpt`; or
            an address (`hf://`, `wandb://`), which is downloaded unless the cache has it.
        prefer: `best` to measure and predict, `last` to resume training.
        key: The configuration key that held the source, for messages.

    Raises:
        UserError: There is no checkpoint.
    """
    path = Path(local_source(source, key)).expanduser()
    if path.is_file():
        return path
    if not path.is_dir():
        raise UserError(
            f"{key}={source}: there is no such file or folder; give a run folder or a file."
        )
    if (path / BUNDLE).is_file():
        return path / BUNDLE
    names = (BEST, LAST) if prefer == "best" else (LAST, BEST)
    run = RunFolder(path)
    for folder in (run.checkpoints, path):
        for name in names:
            if (folder / name).is_file():
                if prefer == "best" and name == LAST:
                    _log.warning(
                        "%s: no validation has given a valid AP yet, so there is no %s: using %s",
                        source,
                        BEST,
                        LAST,
                    )
                return folder / name
    restart = ""
    if run.config.is_file() and not run.is_finished:
        restart = f"; a run that ended earlier begins again with detkit train ckpt={source}"
    raise UserError(
        f"{key}={source}: the folder holds no {CHECKPOINTS}/{BEST} or {LAST}; a run writes the "
        "first one after callbacks.checkpoints.minutes, or at the end of an epoch before "
        f"that{restart}."
    )


def read_checkpoint(path: Path) -> Checkpoint:
    """Read a checkpoint or a bundle as data; never runs code from it.

    Raises:
        UserError: The file is damaged, holds Python objects, was not written by detkit or by a
            newer version, or its record is invalid.
    """
    folder = bundle_at(path)
    if folder is not None:
        bundle = read_bundle(folder)
        return Checkpoint(path, bundle.record, bundle.weights, bundle.epoch, resumable=False)
    content = read_tensors(path, check_sums=True)
    if not isinstance(content, dict) or RECORD not in content or "state_dict" not in content:
        raise UserError(
            f"{path}: was not written by detkit: it has no '{RECORD}' record. Weights of "
            "torchvision and timm are read by: detkit import FILE."
        )
    record = parse_record(content[RECORD], path)
    state = require_weights(content["state_dict"], path)
    return Checkpoint(
        path=path,
        record=record,
        weights={k.removeprefix(PREFIX): v for k, v in state.items() if k.startswith(PREFIX)},
        epoch=_epochs(content, path),
        resumable="optimizer_states" in content,
    )


def require_weights(state: Any, path: Path) -> dict[str, Tensor]:
    """Check that a state is a mapping of names to ordinary tensors.

    Raises:
        UserError: It is something else.
    """
    if isinstance(state, dict) and all(
        isinstance(name, str)
        and isinstance(value, Tensor)
        and value.layout == torch.strided
        and value.device.type == "cpu"
        and not value.is_quantized
        for name, value in state.items()
    ):
        return dict(state)
    raise UserError(
        f"{path}: its weights are not as detkit writes them: expected ordinary tensors by name. "
        "Take another copy of the file or another checkpoint of the run."
    )


def _epochs(content: dict[str, Any], path: Path) -> int:
    """Finished epochs; Lightning counts from 0 and does not count an epoch in progress."""
    position = content.get("position")
    finished = content.get("epoch", -1)
    if isinstance(position, dict):
        finished = position.get("epoch")
    if type(finished) is not int:
        raise UserError(
            f"{path}: its epoch is a {type(finished).__name__}, expected a whole number: take "
            "another copy of the file or another checkpoint of the run."
        )
    return finished if isinstance(position, dict) else finished + 1


def load_weights(detector: nn.Module, checkpoint: Checkpoint) -> None:
    """Load a checkpoint's weights into a detector of the same configuration.

    A detector without the mask head of its checkpoint (`mask_head=null`), or without its SVMs
    (`svm_cost=null`), gets all other weights.

    Raises:
        UserError: Names or shapes differ; the message shows the first few of each kind.
    """
    tensors = detector.state_dict()
    require_fit(tensors, checkpoint)
    detector.load_state_dict({name: checkpoint.weights[name] for name in tensors})
    if any(name.endswith(_SVMS_FITTED) and not tensors[name] for name in tensors):
        _log.warning(
            "%s: its SVMs are not fitted yet, so softmax scores the classes; they are in %s once "
            "the run has ended",
            checkpoint.path,
            BEST,
        )


def require_fit(tensors: Mapping[str, Tensor], checkpoint: Checkpoint) -> None:
    """Refuse a checkpoint whose weights do not fit a detector.

    Args:
        tensors: The detector's state; meta tensors will do.
        checkpoint: The checkpoint, which may come from an unknown source.

    Raises:
        UserError: Names or shapes differ; the message shows the first few of each kind.
    """
    missing = sorted(tensors.keys() - checkpoint.weights.keys())
    unused = sorted(checkpoint.weights.keys() - tensors.keys())
    for part in _OPTIONAL_PARTS:
        if not any(part in name for name in tensors):
            unused = [name for name in unused if part not in name]
    shared = tensors.keys() & checkpoint.weights.keys()
    reshaped = sorted(k for k in shared if tensors[k].shape != checkpoint.weights[k].shape)
    if missing or unused or reshaped:
        kinds = {"missing": missing, "unused": unused, "of another shape": reshaped}
        problems = "; ".join(
            f"{len(names)} {kind} ({_some(names)})" for kind, names in kinds.items() if names
        )
        raise UserError(
            f"{checkpoint.path}: its weights do not fit this detector: {problems}. Use the model "
            "that it was trained with: leave out the model's overrides."
        )


def _some(names: list[str], count: int = 3) -> str:
    return ", ".join(names[:count]) + (", ..." if len(names) > count else "")
