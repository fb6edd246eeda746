"""Lightning's Trainer from plain settings, quiet and repeatable."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Sequence
from datetime import timedelta
from typing import Literal

import lightning.pytorch as pl
import torch
from lightning.fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.fabric.plugins.environments.slurm import SLURMEnvironment
from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from lightning.fabric.utilities.warnings import PossibleUserWarning
from lightning.pytorch.callbacks import Checkpoint, ProgressBar
from lightning.pytorch.loggers.logger import Logger
from lightning.pytorch.strategies import DDPStrategy, Strategy
from torch import nn

from detkit.errors import UserError
from detkit.processes.rank_environment import is_slurm_rank, is_torchrun_rank
from detkit.runs.checkpoint_writer import CheckpointFile
from detkit.runs.metrics_logger import MetricsFile
from detkit.training.devices import device_count
from detkit.training.logger_content import Tracking
from detkit.training.narrow_convolutions import avoid_faulty_kernel
from detkit.training.pace import Pace
from detkit.training.part_progress import PartProgress
from detkit.training.sharded_strategy import ShardedStrategy
from detkit.training.stopping import StopOnSignal
from detkit.training.training_limits import UNLIMITED, TrainingLength

PRECISION: dict[int | str, Literal["32-true", "bf16-mixed", "16-mixed"]] = {
    32: "32-true",
    "bf16": "bf16-mixed",
    16: "16-mixed",
}
# How long a rank waits for the others. The end of a rank is noticed at once; this is for a machine
# that disappears, and longer than anything that one rank does while others wait: pictures, a
# checkpoint on a slow disk, compiling the first batch.
LONGEST_WAIT = timedelta(minutes=15)
_DETERMINISTIC: dict[str, bool | Literal["warn"]] = {"strict": True, "warn": "warn", "none": False}

# The parts of detectors whose `forward` is pure tensor work. They are compiled one by one even if
# the losses are one graph (see compilation.py), for validation and for sizes without a graph.
COMPILED_PARTS = ("backbone", "neck", "head.layers")


def make_trainer(
    *,
    run_folder: str,
    callbacks: Sequence[pl.Callback],
    loggers: Sequence[Logger],
    max_epochs: int | None,
    accelerator: Literal["auto", "cpu", "gpu"],
    devices: int | Literal["auto"],
    num_nodes: int,
    strategy: Literal["auto", "ddp", "fsdp"],
    precision: Literal[32, 16, "bf16"],
    accumulate_grad_batches: int,
    gradient_clip_norm: float | None,
    sync_batchnorm: bool,
    deterministic: Literal["strict", "warn", "none"],
    validate_every: int,
    limit_train_batches: int | None,
    limit_validation_batches: int | None,
    log_every: int,
    max_steps: int | None = None,
    max_minutes: float | None = None,
) -> pl.Trainer:
    """Build a Trainer from the `trainer` block of the configuration; it always logs metrics.csv."""
    quiet_lightning()
    return pl.Trainer(
        default_root_dir=run_folder,
        callbacks=[*_always(max_epochs, max_steps, max_minutes), *callbacks],
        logger=[MetricsFile(run_folder=run_folder), *loggers],
        max_epochs=UNLIMITED if max_epochs is None else max_epochs,
        accelerator=accelerator,
        devices=devices,
        num_nodes=num_nodes,
        strategy=_strategy(strategy, accelerator, devices, num_nodes),
        precision=PRECISION[precision],
        accumulate_grad_batches=accumulate_grad_batches,
        gradient_clip_val=gradient_clip_norm,
        sync_batchnorm=sync_batchnorm,
        deterministic=_DETERMINISTIC[deterministic],
        check_val_every_n_epoch=validate_every,
        limit_train_batches=limit_train_batches,
        limit_val_batches=limit_validation_batches,
        log_every_n_steps=log_every,
        plugins=[CheckpointFile(), _cluster()],
        use_distributed_sampler=False,  # the data module shards exactly
        inference_mode=False,  # else priors cached in validation could not be used in training
        num_sanity_val_steps=0,
        enable_checkpointing=any(isinstance(c, Checkpoint) for c in callbacks),
        enable_progress_bar=any(isinstance(c, ProgressBar) for c in callbacks),
        enable_model_summary=False,
    )


def _always(
    max_epochs: int | None, max_steps: int | None, max_minutes: float | None
) -> list[pl.Callback]:
    """The callbacks that every training has in addition to the configured ones."""
    length = TrainingLength(max_epochs, max_steps, max_minutes)
    return [StopOnSignal(), length, PartProgress(), Pace(), Tracking()]


def require_devices(devices: int | Literal["auto"], accelerator: str) -> None:
    """Refuse GPUs that this machine does not have.

    Raises:
        UserError: It has none, or fewer.
    """
    gpus = torch.cuda.device_count()
    has_other = torch.backends.mps.is_available()
    if accelerator == "gpu" and not gpus and not has_other:
        raise UserError(
            "trainer.accelerator=gpu: PyTorch finds no GPU here (python -c 'import torch; "
            "print(torch.cuda.is_available())' says why not); trainer.accelerator=cpu trains "
            "without one."
        )
    if accelerator != "cpu" and gpus and devices != "auto" and devices > gpus:
        raise UserError(
            f"trainer.devices={devices}: there are {gpus} GPUs here (CUDA_VISIBLE_DEVICES hides "
            f"others); set trainer.devices to {gpus} or less."
        )


def _cluster() -> ClusterEnvironment:
    """The cluster environment of this rank; Lightning's detection takes a batch script for a rank.

    StopOnSignal handles SLURM's signals: Lightning would save another kind of checkpoint and
    requeue the job.
    """
    if is_torchrun_rank():
        return TorchElasticEnvironment()
    return SLURMEnvironment(auto_requeue=False) if is_slurm_rank() else LightningEnvironment()


def _strategy(
    strategy: str, accelerator: str, devices: int | Literal["auto"], num_nodes: int
) -> Strategy | str:
    """Data-parallel training if there is more than one device.

    Buffers are not broadcast before each forward pass: norm layers train on the statistics of
    their own batch, and DetectionModule broadcasts rank 0's for validation.

    Raises:
        UserError: This machine does not have these devices.
    """
    require_devices(devices, accelerator)
    count = device_count(devices, accelerator) * num_nodes
    if strategy == "fsdp":
        if count == 1:
            raise UserError(
                f"trainer.strategy=fsdp divides the weights over several devices, and "
                f"trainer.devices={devices} is one here: set trainer.devices=2 or more, or "
                "trainer.strategy=auto."
            )
        return ShardedStrategy(timeout=LONGEST_WAIT)
    if strategy == "auto" and count == 1:
        return "auto"
    return DDPStrategy(
        broadcast_buffers=False,
        gradient_as_bucket_view=True,
        timeout=LONGEST_WAIT,
    )


def quiet_lightning() -> None:
    """Keep Lightning's advertising, device banner and tuning tips out of the console."""
    for name in ("lightning.pytorch", "lightning.fabric", "lightning"):
        logging.getLogger(name).setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", category=PossibleUserWarning)
    # With trainer.strategy=fsdp, PyTorch warns about a lost hook that would gather weights, which
    # are gathered already.
    warnings.filterwarnings("ignore", message=".*returned a view tensor", category=UserWarning)
    # Lightning uses functions that PyTorch has deprecated, which no user can change.
    warnings.filterwarnings("ignore", category=FutureWarning, module=r"lightning\.")


def seed_everything(seed: int) -> None:
    """Seed Python, NumPy and PyTorch in this process and in the workers of its loaders."""
    pl.seed_everything(seed, workers=True, verbose=False)


def prepare_detector(
    detector: nn.Module, *, channels_last: bool | None, compile: bool, strategy: str = "auto"
) -> None:
    """Choose memory order and compilation of a detector, in place and before it is trained.

    Args:
        detector: The detector; its parameter names do not change.
        channels_last: Store weights, and thus feature maps, in this memory format; None does so
            unless the strategy divides weights.
        compile: Compile backbone, neck and head layers; the first batches take minutes.
        strategy: The strategy of the trainer.
    """
    if channels_last or (channels_last is None and strategy != "fsdp"):
        detector.to(memory_format=torch.channels_last)
        avoid_faulty_kernel(detector)
    if compile:
        parts = dict(detector.named_modules())
        for name in COMPILED_PARTS:
            if name in parts:
                parts[name].compile()
