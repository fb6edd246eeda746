"""`detkit replay`: repeat the step at which a training stopped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from detkit import assembly
from detkit.assembly import Classes
from detkit.config import compose
from detkit.detectors.base import DetectorModule
from detkit.detectors.freezing import freeze, read_freezing
from detkit.errors import UserError
from detkit.inference.detecting import choose_device
from detkit.runs.checkpoint import Checkpoint, load_weights, read_checkpoint
from detkit.runs.random_state import set_random_state
from detkit.runs.saved_step import SavedStep, find_step, parse_step
from detkit.runs.tensor_file import read_tensors
from detkit.training.replay_report import (
    draw_batch,
    gradient_lines,
    loss_lines,
    module_lines,
    object_lines,
    step_lines,
)
from detkit.training.step_replay import replay_step
from detkit.training.trainer import PRECISION, prepare_detector

HELP = """
usage: detkit replay FILE [KEY=VALUE ...]

Repeats the step at which a training stopped because of a non-finite loss or gradient, from the file
that the run saved: RUN/non_finite/step_NUMBER.pt. For a run folder, repeats its last saved step.
Shows each loss term, the first modules with a non-finite output, and suspicious objects in the
batch. The command line may change the model, to try a remedy. Exit code: 1 if the step is
non-finite again, 0 if everything is finite.

  detkit replay runs/demo/non_finite/step_000123.pt
  detkit replay runs/demo output=pictures
  detkit replay runs/demo trainer.precision=32
  detkit replay runs/demo model/head/box_loss=l1
"""


def run(words: list[str]) -> int:
    """Repeat a step and print it; return 1 if a loss or gradient is non-finite again."""
    if not words or ("=" in words[0] and not Path(words[0]).exists()):
        raise UserError(
            "detkit replay needs a saved step first: detkit replay RUN/non_finite/step_NUMBER.pt, "
            "or a run folder."
        )
    path = find_step(words[0])
    checkpoint = read_checkpoint(path)
    step = parse_step(read_tensors(path), path)
    config = compose.compose("replay", words[1:], checkpoint.config)
    device = _device(config["device"], step)
    precision = PRECISION[config["trainer"]["precision"]]
    detector = _detector(config, checkpoint, step.epoch).to(device)
    set_random_state(step.random_state)
    replay = replay_step(detector, step.batch.to(device), precision)
    names = checkpoint.class_names
    sections = [
        [*step_lines(step, precision, device.type), f"saved in {path}"],
        loss_lines(step, replay),
        [*module_lines(replay), *gradient_lines(replay)],
        object_lines(step.batch, names),
    ]
    if config["output"] is not None:
        pictures = draw_batch(step.batch, names, Path(config["output"]))
        sections.append([f"pictures: {pictures[0].parent}, {len(pictures)} written"])
    sections.append([replay.finding()])
    print("\n\n".join("\n".join(lines) for lines in sections))
    return 0 if replay.is_finite else 1


def _device(name: str, step: SavedStep) -> torch.device:
    """The requested device, by default the type of device that the step ran on."""
    return choose_device("cpu" if name == "auto" and step.device == "cpu" else name)


def _detector(config: dict[str, Any], checkpoint: Checkpoint, epoch: int) -> DetectorModule:
    """The detector with the step's weights, prepared as for training in that epoch."""
    classes = Classes(checkpoint.class_names, checkpoint.category_ids, checkpoint.class_counts)
    detector = assembly.build_detector(config["model"], classes, fetch_weights=False)
    load_weights(detector, checkpoint)
    freezing = read_freezing(checkpoint.config.get("freeze"))
    if freezing is not None and (freezing.until is None or epoch <= freezing.until):
        freeze(detector, freezing)
    trainer = config["trainer"]
    prepare_detector(
        detector,
        channels_last=trainer["channels_last"],
        compile=False,
        strategy=trainer["strategy"],
    )
    return detector.train()
