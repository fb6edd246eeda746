"""The file that a training saves when it stops at a bad step, from which the step is replayed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from detkit.errors import UserError
from detkit.files import replacing
from detkit.runs.layout import SAVED_STEPS, RunFolder
from detkit.structures import Batch, PaddedMasks, PaddedTargets, Regions, Target

_KEY = "step"
_PREFIX = "detector."
_MASKS = "masks"


@dataclass(frozen=True)
class SavedStep:
    """The state of a training before the forward pass of one step.

    Attributes:
        number: The optimizer step, counted from 1.
        epoch: The epoch, counted from 1.
        batch: The batch of the step.
        losses: The value of each loss part.
        random_state: The states of all generators; see `random_state`.
        precision: Lightning's name for it, such as "32-true".
        device: The kind of device, "cpu" or "cuda".
        rank: The number of the process among `world_size`.
        world_size: The number of processes that trained together.
        weights_later: Optimizer steps between this step and the saved weights; 0 if they match.
        finding: The result of replaying the step before it was saved.
    """

    number: int
    epoch: int
    batch: Batch
    losses: dict[str, float]
    random_state: dict[str, Any]
    precision: str
    device: str
    rank: int
    world_size: int
    weights_later: int
    finding: str


def step_path(run_folder: Path, number: int, rank: int, world_size: int) -> Path:
    """The file of a saved step; each rank has its own."""
    suffix = f"_rank{rank}" if world_size > 1 else ""
    return RunFolder(run_folder).saved_steps / f"step_{number:06d}{suffix}.pt"


def find_step(source: str) -> Path:
    """Find a saved step: a file, or the latest one in a run folder.

    Raises:
        UserError: There is none.
    """
    path = Path(source)
    if path.is_file():
        return path
    for folder in (RunFolder(path).saved_steps, path):
        files = sorted(folder.glob("step_*.pt"), key=lambda file: file.stat().st_mtime)
        if files:
            return files[-1]
    raise UserError(
        f"{source}: there is no saved step; give a file RUN/{SAVED_STEPS}/step_NUMBER.pt, which a "
        "run writes when a loss or a gradient is not finite."
    )


def write_step(
    path: Path, step: SavedStep, weights: Mapping[str, Tensor], record: Mapping[str, Any]
) -> None:
    """Save a step as tensors and plain values; the file is also a checkpoint of the detector.

    Raises:
        OSError: The disk is full or refuses.
    """
    values = {**vars(step), "batch": _batch_values(step.batch)}
    content = {
        "state_dict": {f"{_PREFIX}{name}": value.cpu() for name, value in weights.items()},
        "detkit": dict(record),
        "epoch": step.epoch - 1,
        "global_step": step.number - 1,
        _KEY: values,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as part, part.open("wb") as file:
        torch.save(content, file)


def parse_step(content: Mapping[str, Any], path: Path) -> SavedStep:
    """Parse the step in the content of a file.

    Raises:
        UserError: There is none, or not all of it.
    """
    step = content.get(_KEY)
    if not isinstance(step, dict):
        raise UserError(
            f"{path}: is a checkpoint, not a saved step; give a file of RUN/{SAVED_STEPS}, which a "
            "run writes when a loss or a gradient is not finite."
        )
    try:
        return SavedStep(**{**step, "batch": _batch_from(step["batch"])})
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"{path}: contains a step in an unknown format ({type(error).__name__}: {error}); "
            "use the version of detkit that wrote it."
        ) from error


def _batch_values(batch: Batch) -> dict[str, Any]:
    masks = batch.targets.masks
    names = [field.name for field in fields(Batch) if field.name != "size_tensor"]
    return {
        **{name: getattr(batch, name) for name in names},
        "images": batch.images.cpu(),
        "targets": [_target_values(target) for target in batch.targets.split()],
        "original_targets": [_target_values(target) for target in batch.original_targets],
        "to_image": batch.to_image.cpu().clone(),
        _MASKS: None if masks is None else masks.each(Tensor.cpu)._asdict(),
        "proposals": batch.proposals and tuple(batch.proposals),
    }


def _target_values(target: Target) -> dict[str, Any]:
    values = vars(target.to("cpu"))
    return {name: values[name] for name in ("boxes", "labels", "ignored", "areas")}


def _batch_from(values: dict[str, Any]) -> Batch:
    sizes = {
        key: [tuple(size) for size in values[key]] for key in ("image_sizes", "original_sizes")
    }
    targets = {
        key: [Target(**target) for target in values[key]] for key in ("targets", "original_targets")
    }
    padded = PaddedTargets.of(targets["targets"])
    # Steps of earlier versions have neither masks nor proposals.
    masks, regions = values.get(_MASKS), values.get("proposals")
    if masks is not None:
        padded = padded._replace(masks=PaddedMasks(**masks))
    others = {name: value for name, value in values.items() if name != _MASKS}
    others["proposals"] = None if regions is None else Regions(*regions)
    return Batch(**{**others, **sizes, **targets, "targets": padded})
