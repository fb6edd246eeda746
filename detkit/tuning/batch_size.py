"""Decide `data.batch_size=auto` before a training starts.

On GPUs it is the largest batch whose training step fits, measured on each GPU of the run; the
smallest of them counts. On a CPU it is 8: memory rarely limits it there, and larger batches are not
faster (images per second of yolo_free_n and FCOS at 320 pixels on one core rise by 4 % at most from
4 to 8, and hardly after that), but leave an epoch fewer steps. It is halved until a step takes at
most half of the memory. Everywhere an epoch keeps ten optimizer steps or more.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import torch

from detkit import assembly
from detkit.config import plugins
from detkit.data.batch_size import AUTO
from detkit.data.quiet_reading import without_messages
from detkit.errors import UserError
from detkit.optimizers.parameter_groups import scaled_rate
from detkit.runs.frozen_config import freeze, read_frozen
from detkit.runs.log_file import log_to
from detkit.sweeps.estimates.training_cost import Estimator
from detkit.sweeps.jobs.devices import VISIBLE, visible_gpus
from detkit.text import counted, memory_size
from detkit.training.devices import device_count
from detkit.tuning.gpu_trial import MARGIN, REQUEST, RESULT, Trial

Config = dict[str, Any]
_log = logging.getLogger("detkit.tuning")
_ON_CPU = 8
_FEWEST_STEPS = 10  # of an epoch
_CGROUP_LIMITS = (  # of the memory of a container, in its versions 2 and 1
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)


class BatchSize(NamedTuple):
    """A batch size, and why it is not larger.

    Attributes:
        images: Images per batch on each device.
        reason: The reason, as the end of a sentence.
    """

    images: int
    reason: str


def with_batch_size(config: Config) -> Config:
    """The configuration with a number in place of `auto`; logs a line with number and reason.

    Raises:
        UserError: Not even one image fits, or a training could not start either.
    """
    if config["data"]["batch_size"] != AUTO:
        return config
    log_to(None)
    size = decide(config)
    rate = _rate_text(config, size.images)
    number = counted(size.images, "image")
    _log.info("data.batch_size=auto: %s, %s%s", number, size.reason, rate)
    return {**config, "data": {**config["data"], "batch_size": size.images}}


def settle(folder: Path) -> None:
    """Replace `auto` in a frozen configuration; does nothing if it has a number."""
    config = read_frozen(folder)
    if config["data"]["batch_size"] == AUTO:
        freeze(with_batch_size({**config, "run_folder": str(folder)}), restart=True)


def decide(config: Mapping[str, Any]) -> BatchSize:
    """Decide the batch size of a checked configuration; reads annotations.

    Raises:
        UserError: Not even one image fits.
    """
    trainer = config["trainer"]
    devices = device_count(trainer["devices"], trainer["accelerator"])
    with without_messages():
        images = len(assembly.build_data(config).train_index)
    per_step = devices * trainer["accumulate_grad_batches"]
    by_steps = BatchSize(
        max(images // (_FEWEST_STEPS * per_step), 1),
        f"so that an epoch of {images:,} images has {_FEWEST_STEPS} steps or more",
    )
    if torch.cuda.device_count() and trainer["accelerator"] != "cpu":
        return _on_gpus(config, devices, by_steps)
    return _on_cpu(config, devices, by_steps)


def _on_cpu(config: Mapping[str, Any], processes: int, by_steps: BatchSize) -> BatchSize:
    size = BatchSize(_ON_CPU, "as larger batches are no faster on a CPU")
    if by_steps.images < size.images:
        size = by_steps
    estimator, limit = Estimator(), machine_memory() // 2
    while True:
        data = {**config["data"], "batch_size": size.images}
        memory = estimator({**config, "data": data}).memory
        if size.images == 1 or memory is None or processes * memory.total <= limit:
            return size
        reason = f"as more would take over half of {memory_size(2 * limit)} of memory"
        size = BatchSize(size.images // 2, reason)


def machine_memory() -> int:
    """Bytes of memory of this machine, or of its container."""
    sizes = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    for file in _CGROUP_LIMITS:
        text = file.read_text(encoding="ascii").strip() if file.is_file() else ""
        sizes += [int(text)] if text.isdigit() else []
    return min(sizes)


def _on_gpus(config: Mapping[str, Any], devices: int, by_steps: BatchSize) -> BatchSize:
    _log.info("data.batch_size=auto: measuring training steps")
    gpus = visible_gpus()[:devices]
    images, gpu = min(measured(config, by_steps.images, {VISIBLE: gpu}) for gpu in gpus)
    if images == 0:
        raise UserError(
            f"data.batch_size=auto: not even one image fits {gpu}: lower image_size, set "
            "trainer.precision=bf16, or choose a smaller model."
        )
    if images == by_steps.images:
        return by_steps
    return BatchSize(images, f"the most that leave {MARGIN:.0%} of {gpu} free")


def measured(
    config: Mapping[str, Any], most: int, environment: Mapping[str, str]
) -> tuple[int, str]:
    """Run the trial as a program with these environment variables.

    Returns:
        The images of the largest batch, and the name of the device.

    Raises:
        UserError: It failed.
    """
    allowed = plugins.for_child(config["plugins"])
    with TemporaryDirectory(prefix="detkit-tune-") as name:
        folder = Path(name)
        request = json.dumps(Trial(dict(config), most)._asdict())
        (folder / REQUEST).write_text(request, encoding="utf-8")
        command = [sys.executable, "-m", "detkit.tuning.gpu_trial", str(folder)]
        subprocess.run(command, env={**os.environ, **allowed, **environment}, check=False)
        file = folder / RESULT
        result = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    if "images" not in result:
        reason = result.get("error", "the measuring program ended; its output is above")
        raise UserError(f"data.batch_size=auto: {reason}. Or give a number: data.batch_size=8.")
    return int(result["images"]), str(result["device"])


def _rate_text(config: Mapping[str, Any], images: int) -> str:
    """What happens to the learning rate, if the optimizer has one."""
    optimizer, trainer = config["optimizer"], config["trainer"]
    rate, reference = optimizer.get("learning_rate"), optimizer.get("reference_batch")
    if rate is None:
        return ""
    if reference is None:
        return (
            f"; optimizer.learning_rate stays {rate:g} (optimizer.reference_batch would scale it)"
        )
    devices = device_count(trainer["devices"], trainer["accelerator"])
    total = images * devices * trainer["accumulate_grad_batches"]
    scaled = scaled_rate(rate, total, reference)
    return f"; the learning rate becomes {scaled:g} (optimizer.reference_batch={reference})"
