"""`detkit config schedule`: the learning rate over the steps of a training."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any

from detkit import assembly
from detkit.api.training_config import new_training
from detkit.cli.flags import without
from detkit.data.batch_size import known_batch_size
from detkit.errors import UserError
from detkit.interfaces import Schedule
from detkit.optimizers.parameter_groups import scaled_rate
from detkit.sweeps.estimates.data_facts import DataReader
from detkit.training.devices import device_count

HELP = """
usage: detkit config schedule [KEY=VALUE ...] [--json]

Plots the learning rate of each optimizer step of the training that `detkit train` would run with
the same overrides, warm-up included. It reads annotations to count the steps, and trains nothing.
With trainer.max_minutes, which has no number of steps yet, it plots 1,000 steps.

  detkit config schedule experiment=demo scheduler=cosine_restarts
  detkit config schedule scheduler=one_cycle trainer.max_steps=5000

--json             the rate of each step as JSON
"""
_WIDTH, _HEIGHT = 72, 12
_ASSUMED = 1000  # steps of a training by minutes


def run(arguments: list[str]) -> int:
    """Print the plot, or the rates with --json."""
    words, flags = without(arguments, "--json")
    config = new_training(words).composed.config
    steps = _steps(config)
    schedule = assembly.build("scheduler", config["scheduler"], {}, ("scheduler",))
    rates = rates_of(schedule, _full_rate(config), steps)
    if flags:
        print(json.dumps({"steps": steps, "learning_rates": rates}))
        return 0
    if config["trainer"]["max_minutes"] is not None:
        print(
            f"note: trainer.max_minutes ends the training; the plot assumes {_ASSUMED:,} steps.",
            file=sys.stderr,
        )
    print(f"scheduler {config['scheduler']['name']}, {steps:,} steps")
    print("\n".join(plot(rates)))
    return 0


def rates_of(schedule: Schedule, full_rate: float, steps: int) -> list[float]:
    """The learning rate of each step; a schedule that follows the metric never drops here."""
    return [full_rate * schedule(step, steps) for step in range(steps)]


def plot(rates: list[float]) -> list[str]:
    """Lines of text: the rate from 0 to its highest, over the steps."""
    highest = max(rates)
    width = min(_WIDTH, len(rates))
    columns = [_column(rates, column, width) for column in range(width)]
    lines = []
    for row in range(_HEIGHT, 0, -1):
        label = f"{highest * row / _HEIGHT:9.2e}" if row % 4 == 0 else " " * 9
        filled = ["█" if rate >= highest * (row - 0.5) / _HEIGHT else " " for rate in columns]
        lines.append(f"{label} |{''.join(filled)}".rstrip())
    last = f"{len(rates) - 1:,}"
    lines.append(f"{0.0:9.2e} +{'-' * width}")
    lines.append(f"{' ' * 11}0{last:>{max(width - 1, len(last) + 1)}} step")
    first, end = f"{rates[0]:.3g}", f"{rates[-1]:.3g}"
    lines.append(f"first {first}, highest {highest:.3g}, last {end}")
    return lines


def _column(rates: list[float], column: int, width: int) -> float:
    """The mean rate of the steps that a column shows."""
    start, end = column * len(rates) // width, (column + 1) * len(rates) // width
    return sum(rates[start:end]) / (end - start)


def _steps(config: Mapping[str, Any]) -> int:
    """Optimizer steps of the whole training.

    Raises:
        UserError: The training split gives no step.
    """
    trainer = config["trainer"]
    if trainer["max_minutes"] is not None:
        return _ASSUMED
    limits = []
    if trainer["max_steps"] is not None:
        limits.append(trainer["max_steps"])
    if trainer["max_epochs"] is not None:
        limits.append(trainer["max_epochs"] * _steps_per_epoch(config))
    if not limits or min(limits) < 1:
        raise UserError(
            "the training has no optimizer step to plot: check trainer.max_epochs and that the "
            "training split has images."
        )
    return int(min(limits))


def _steps_per_epoch(config: Mapping[str, Any]) -> int:
    """Optimizer steps of an epoch: whole batches of all devices, by accumulated batches."""
    trainer = config["trainer"]
    images = DataReader()(config).train_images
    batches = max(images // (known_batch_size(config["data"]["batch_size"]) * _devices(config)), 1)
    limit = trainer["limit_train_batches"]
    batches = batches if limit is None else min(batches, limit)
    return int(-(-batches // trainer["accumulate_grad_batches"]))


def _devices(config: Mapping[str, Any]) -> int:
    trainer = config["trainer"]
    return device_count(trainer["devices"], trainer["accelerator"]) * int(trainer["num_nodes"])


def _full_rate(config: Mapping[str, Any]) -> float:
    """The learning rate that the factors multiply, scaled to the images per step."""
    optimizer, trainer = config["optimizer"], config["trainer"]
    if optimizer.get("reference_batch") is None:
        return float(optimizer["learning_rate"])
    images = known_batch_size(config["data"]["batch_size"]) * _devices(config)
    batch = images * trainer["accumulate_grad_batches"]
    return scaled_rate(optimizer["learning_rate"], batch, optimizer["reference_batch"])
