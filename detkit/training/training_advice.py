"""Advice before a training that is unlikely to work, and descriptions of its size and device.

`advice` has two rules, both ignored in trials with limited batches:

1. A network of 10 million parameters or more from random weights on fewer than 1,000 images does
   not learn to detect: pretrained weights or a small network do.
2. Fewer than 1,000 optimizer steps from random weights, or 200 from pretrained ones, are too few.
"""

from __future__ import annotations

import math
import os
import shlex
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from torch import nn

from detkit.text import agree, counted
from detkit.training.training_limits import length_of

_LARGE = 10e6  # parameters
_FEW_IMAGES = 1000
_FEWEST_STEPS = {False: 1000, True: 200}  # by: from pretrained weights
_ENOUGH_STEPS = {False: 2000, True: 500}
_WEIGHTS = ("weights", "pretrained", "checkpoint")  # arguments of backbones
_DRIVER = Path("/proc/driver/nvidia/version")


@dataclass(frozen=True)
class Setup:
    """The facts that decide whether a training can work.

    Attributes:
        images: Number of images to train on.
        parameters: Number of parameters of the detector.
        is_pretrained: Whether it starts from pretrained weights.
        steps_per_epoch: Optimizer steps per epoch.
        epochs: Epochs of the whole training; None if minutes decide.
        data_path: The data set's path, as the user would type it; None for the embedded one.
        pretrained_word: The override that loads published weights; None if there are none.
        is_trial: Whether images or batches are limited to try things out.
        steps_end_it: Whether trainer.max_steps ends it, before trainer.max_epochs.
    """

    images: int
    parameters: int
    is_pretrained: bool
    steps_per_epoch: int
    epochs: float | None
    data_path: str | None
    pretrained_word: str | None = None
    is_trial: bool = False
    steps_end_it: bool = False

    @property
    def steps(self) -> int | None:
        """Optimizer steps of the whole training; None if minutes decide."""
        return None if self.epochs is None else round(self.steps_per_epoch * self.epochs)


def advice(setup: Setup) -> list[str]:
    """The first rule that applies: the problem, and what to type instead."""
    if setup.is_trial:
        return []
    is_hopeless = (
        not setup.is_pretrained and setup.parameters >= _LARGE and setup.images < _FEW_IMAGES
    )
    if is_hopeless:
        return [
            f"THIS TRAINING IS UNLIKELY TO WORK: {setup.parameters / 1e6:.1f} M parameters start "
            f"from random weights, with only {counted(setup.images, 'training image')}. "
            f"{_instead(setup)}"
        ]
    fewest = _FEWEST_STEPS[setup.is_pretrained]
    if setup.steps is not None and setup.steps < fewest:
        start = "pretrained" if setup.is_pretrained else "random"
        return [
            f"THIS TRAINING IS SHORT: {counted(setup.steps, 'optimizer step')} from {start} "
            f"weights; {fewest:,} or more are usual. {_longer(setup)}"
        ]
    return []


def _longer(setup: Setup) -> str:
    enough = _ENOUGH_STEPS[setup.is_pretrained]
    if setup.steps_end_it:
        return f"Set trainer.max_steps={enough} instead."
    epochs = math.ceil(enough / max(setup.steps_per_epoch, 1))
    return f"Add trainer.max_epochs={epochs} for about {setup.steps_per_epoch * epochs:,} steps."


def _instead(setup: Setup) -> str:
    path = f" {shlex.quote(f'data.path={setup.data_path}')}" if setup.data_path else ""
    small = f"fine-tune a small network: detkit train experiment=finetune{path}"
    if setup.data_path is None:
        small = "train a small network: detkit train experiment=demo"
    if setup.pretrained_word:
        return f"Add {setup.pretrained_word} to start from pretrained weights, or {small}"
    return f"Instead, {small}"


def setup_of(config: Mapping[str, Any], images: int, detector: nn.Module, batches: int) -> Setup:
    """The setup of a training.

    Args:
        config: Its whole configuration.
        images: Number of images to train on, after all limits.
        detector: The detector.
        batches: Batches of an epoch on each device.
    """
    trainer, data = config["trainer"], config["data"]
    is_embedded = data["reader"]["name"] == "shapes"
    limits = (trainer["limit_train_batches"], data["limit_images"])
    steps_per_epoch = math.ceil(batches / trainer["accumulate_grad_batches"])
    ends: list[float | None] = [trainer["max_epochs"]]
    if trainer.get("max_steps") is not None:
        ends.append(trainer["max_steps"] / max(steps_per_epoch, 1))
    epochs = min((end for end in ends if end is not None), default=None)
    return Setup(
        images=images,
        parameters=sum(parameter.numel() for parameter in detector.parameters()),
        is_pretrained=is_pretrained(config),
        steps_per_epoch=steps_per_epoch,
        epochs=None if trainer.get("max_minutes") is not None else epochs,
        data_path=None if is_embedded else str(data["path"]),
        pretrained_word=pretrained_word(config["model"]),
        is_trial=any(limit is not None for limit in limits),
        steps_end_it=epochs != trainer["max_epochs"],
    )


def pretrained_word(model: Mapping[str, Any]) -> str | None:
    """The override that loads published weights into the backbone; None if there are none."""
    backbone = model.get("backbone")
    if not isinstance(backbone, Mapping):
        return None
    return "weights=imagenet" if {"pretrained", "weights"} & backbone.keys() else None


def is_pretrained(config: Mapping[str, Any]) -> bool:
    """Whether a configuration starts from weights in a file or a backbone's published weights."""
    return config.get("weights") is not None or _loads_weights(config["model"].get("backbone"))


def _loads_weights(node: Any) -> bool:
    """Whether a backbone, or one inside it, is set to load weights."""
    if not isinstance(node, Mapping):
        return False
    if any(node.get(key) not in (None, False) for key in _WEIGHTS):
        return True
    return any(_loads_weights(part) for part in node.values())


def size_text(trainer: pl.Trainer) -> str:
    """Epochs, batches and optimizer steps of a training."""
    batches = int(trainer.num_training_batches)
    steps = math.ceil(batches / trainer.accumulate_grad_batches)
    of_batches = counted(batches, "batch")
    if steps != batches:
        of_batches += f" ({counted(steps, 'optimizer step')})"
    length = length_of(trainer)
    epochs, total = length.epochs(trainer), length.total_steps(trainer)
    if epochs is None:
        return f"{length.limit_text()}, in epochs of {of_batches},"
    return f"{counted(epochs, 'epoch')} of {of_batches}, {counted(total, 'step')} in all,"


def device_text(trainer: pl.Trainer) -> str:
    """The device of the training, and the reason if it uses no GPU."""
    device = trainer.strategy.root_device
    if device.type == "cuda":
        return gpu_text(
            torch.cuda.get_device_name(device), trainer.num_devices, torch.cuda.device_count()
        ) + (f", on {trainer.num_nodes} machines" if trainer.num_nodes > 1 else "")
    if device.type != "cpu":
        return f"on the {device.type.upper()} device"
    return cpu_text(
        threads=torch.get_num_threads(),
        gpus=torch.cuda.device_count(),
        has_driver=_DRIVER.exists() or shutil.which("nvidia-smi") is not None,
        built_for_gpus=torch.version.cuda is not None or torch.version.hip is not None,
        hidden=os.environ.get("CUDA_VISIBLE_DEVICES"),
    )


def gpu_text(name: str, used: int, there: int) -> str:
    """The number of GPUs in use, and whether there are more."""
    text = f"on {counted(used, 'GPU')} ({name})"
    if there > used:
        text += f"; this machine has {there}, trainer.devices={there} uses all of them"
    return text


def cpu_text(
    *, threads: int, gpus: int, has_driver: bool, built_for_gpus: bool, hidden: str | None
) -> str:
    """Explain why training runs on the CPU.

    Args:
        threads: Number of threads that PyTorch uses.
        gpus: Number of GPUs that PyTorch finds.
        has_driver: Whether the machine has NVIDIA's driver.
        built_for_gpus: Whether this build of PyTorch can use GPUs.
        hidden: The value of CUDA_VISIBLE_DEVICES; None if it is not set.
    """
    text = f"on the CPU ({counted(threads, 'thread')}); "
    if gpus:
        them = agree(gpus, "it", "them")
        return f"{text}PyTorch finds {counted(gpus, 'GPU')}: trainer.accelerator=gpu uses {them}"
    if not has_driver:
        return text + "PyTorch finds no GPU"
    if hidden is not None and not hidden.strip(" -1"):
        return text + f"CUDA_VISIBLE_DEVICES='{hidden}' hides this machine's GPU from PyTorch"
    if not built_for_gpus:
        return text + (
            f"this machine has an NVIDIA driver, but PyTorch {torch.__version__} is built for CPUs "
            "only: install a CUDA build (https://pytorch.org/get-started)"
        )
    return text + (
        "this machine has an NVIDIA driver, but PyTorch cannot use its GPU: "
        "python -c 'import torch; torch.cuda.init()' prints the reason"
    )
