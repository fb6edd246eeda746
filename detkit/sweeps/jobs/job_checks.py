"""Check the jobs of a sweep before the first one starts, and find devices for them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from detkit.config.sweep_jobs import Cell
from detkit.config.sweep_options import DevicePoolOptions
from detkit.data.batch_size import AUTO
from detkit.errors import ConfigError, UserError
from detkit.sweeps.jobs.device_pool import DevicePool
from detkit.sweeps.jobs.devices import visible_gpus
from detkit.weights.start import check_start


def check_cells(cells: Sequence[Cell]) -> tuple[list[Cell], list[str]]:
    """The cells that can run, and each distinct problem with the first cell that has it."""
    first_cells: dict[str, str] = {}
    runnable: list[Cell] = []
    misfits: dict[str, list[str]] = {}  # by model, weights and frozen parts, which many cells share
    for cell in cells:
        problems = cell.problems
        if cell.config is not None:
            start = [cell.config[name] for name in ("model", "weights", "freeze")]
            key = json.dumps(start, sort_keys=True)
            if key not in misfits:
                misfits[key] = _misfits(cell.config)
            problems = misfits[key] + _machines(cell.config)
        for problem in problems:
            first_cells.setdefault(problem, f" (job {' '.join(cell.words)})" if cell.words else "")
        if not problems:
            runnable.append(cell)
    return runnable, [f"{problem}{job}" for problem, job in first_cells.items()]


def _misfits(config: Mapping[str, Any]) -> list[str]:
    """Problems of parts that do not fit each other, or of weights that do not fit the model."""
    try:
        check_start(config)
    except ConfigError as error:
        return error.problems
    except UserError as error:
        return [str(error)]
    return []


def _machines(config: Mapping[str, Any]) -> list[str]:
    if config["trainer"]["num_nodes"] == 1:
        return []
    return ["trainer.num_nodes: jobs of a sweep train on one machine each; set it to 1."]


def pool_for(options: DevicePoolOptions, configs: Iterable[Mapping[str, Any]]) -> DevicePool:
    """The pool that runs jobs of these configurations.

    Raises:
        ConfigError: The machine has too few devices for them.
    """
    configs = list(configs)
    trainers = [config["trainer"] for config in configs]
    widths = [trainer["devices"] for trainer in trainers if isinstance(trainer["devices"], int)]
    widest, requested = max(widths, default=1), options.devices_per_job
    if requested is not None and requested < widest:
        raise ConfigError(
            [f"hydra.launcher.devices_per_job={requested}: a job has trainer.devices={widest}."]
        )
    on_cpu = all(trainer["accelerator"] == "cpu" for trainer in trainers)
    chooses = any(config["data"]["batch_size"] == AUTO for config in configs)
    if chooses and options.jobs_per_device > 1 and not on_cpu and visible_gpus():
        raise ConfigError(
            [
                f"data.batch_size=auto with hydra.launcher.jobs_per_device="
                f"{options.jobs_per_device}: each job would take nearly all memory of the GPU that "
                "it shares: give a number, or set hydra.launcher.jobs_per_device=1."
            ]
        )
    return DevicePool(options, widest, on_cpu)
