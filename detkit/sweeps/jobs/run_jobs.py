"""The jobs of a sweep from checked configurations to their end."""

from __future__ import annotations

import json
import logging
import os
import shlex
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from detkit import assembly
from detkit.config.sweep_jobs import Cell
from detkit.errors import ConfigError, Stopped, UserError
from detkit.files import display_path
from detkit.runs.environment import COMMAND_VARIABLE
from detkit.runs.frozen_config import read_config, require_plugins
from detkit.runs.layout import RunFolder
from detkit.sweeps.jobs.device_pool import DevicePool, JobTakenError
from detkit.sweeps.jobs.devices import Settings
from detkit.sweeps.jobs.job import Job
from detkit.sweeps.jobs.progress_line import RunningJobs
from detkit.sweeps.jobs.sweep_folder import SweepFolder
from detkit.text import counted
from detkit.weights.start import refuse_foreign_weights

POLL = 0.2
_TO_START = ("waiting", "stopped")
_log = logging.getLogger("detkit.sweeps")


def launch(
    path: Path, settings: Settings, given: Mapping[str, Any], cells: Sequence[Cell]
) -> list[Job | None]:
    """Queue the cells of a sweep as jobs in its folder and run those that are not done.

    Args:
        path: The sweep's folder.
        settings: Those of the launcher.
        given: The same as they were given.
        cells: What is to run.

    Returns:
        The job of each cell; None for one that cannot run and is left out.

    Raises:
        ConfigError: A cell cannot run and none is to be left out, or none can; none was started.
        Stopped: Ctrl-C or SIGTERM came.
    """
    good, problems = checked(cells)
    if problems and (not good or not settings.skip_bad):
        if good:
            problems[-1] += f" The other {counted(len(good), 'job')} can run: --skip-bad."
        raise ConfigError(problems)
    for problem in problems:
        _log.warning("left out: %s", problem)
    pool = pool_for(settings, (cell.config for cell in good if cell.config))
    typed = shlex.split(os.environ.get(COMMAND_VARIABLE, ""))[2:]
    words = [word for word in typed if word not in ("-m", "--multirun")]
    folder = SweepFolder.begin(path, shlex.join(["detkit", "sweep", *words]), words, given)
    queued = folder.queue([(cell.config or {}, cell.words) for cell in good])
    run(folder, queued, pool)
    jobs = {id(cell): Job.load(job.folder) for cell, job in zip(good, queued, strict=True)}
    return [jobs.get(id(cell)) for cell in cells]


def checked(cells: Sequence[Cell]) -> tuple[list[Cell], list[str]]:
    """The cells that can run, and each distinct problem with the first cell that has it."""
    problems: dict[str, str] = {}
    good: list[Cell] = []
    seen: dict[str, list[str]] = {}
    for cell in cells:
        messages = cell.problems
        if cell.config is not None:
            key = json.dumps([cell.config[name] for name in ("model", "weights")], sort_keys=True)
            if key not in seen:
                seen[key] = _misfits(cell.config)
            messages = seen[key] + _elsewhere(cell.config)
        for problem in messages:
            problems.setdefault(problem, f" (job {' '.join(cell.words)})" if cell.words else "")
        if not messages:
            good.append(cell)
    return good, [f"{problem}{job}" for problem, job in problems.items()]


def _misfits(config: Mapping[str, Any]) -> list[str]:
    """What does not fit in the detector, and of the weights."""
    try:
        assembly.refuse_misfits(config["model"])
        if config["weights"] is not None:
            refuse_foreign_weights(config["weights"], config["model"])
    except ConfigError as error:
        return error.problems
    except UserError as error:
        return [str(error)]
    return []


def _elsewhere(config: Mapping[str, Any]) -> list[str]:
    if config["trainer"]["num_nodes"] == 1:
        return []
    return ["trainer.num_nodes: jobs of a sweep train on one machine each; set it to 1."]


def pool_for(settings: Settings, configs: Iterable[Mapping[str, Any]]) -> DevicePool:
    """The pool on which jobs of these configurations run.

    Raises:
        ConfigError: The machine has not the devices for them.
    """
    trainers = [config["trainer"] for config in configs]
    widths = [trainer["devices"] for trainer in trainers if isinstance(trainer["devices"], int)]
    widest, requested = max(widths, default=1), settings.devices_per_job
    if requested is not None and requested < widest:
        raise ConfigError(
            [f"hydra.launcher.devices_per_job={requested}: a job has trainer.devices={widest}."]
        )
    on_cpu = all(trainer["accelerator"] == "cpu" for trainer in trainers)
    return DevicePool(settings, widest, on_cpu)


def resume(path: Path, settings: Settings, failed: bool) -> SweepFolder:
    """Run what is not done of a sweep: half done jobs go on from their checkpoints.

    Args:
        path: The sweep's folder.
        settings: Those of the launcher.
        failed: Whether failed jobs are started again, too.

    Raises:
        UserError: There is no sweep, or it lists plugins that the user has not allowed.
        Stopped: Ctrl-C or SIGTERM came.
    """
    folder = SweepFolder.open(path)
    jobs = folder.load()
    selected = [job for job in jobs if job.state in _states(failed)]
    configs = {job.folder: read_config(job.folder) for job in selected}
    for job_folder, config in configs.items():
        require_plugins(config, job_folder)
    if selected:
        run(folder, jobs, pool_for(settings, configs.values()), failed)
    return folder


def run(folder: SweepFolder, jobs: Sequence[Job], pool: DevicePool, failed: bool = False) -> None:
    """Run those of a sweep's jobs that are not done, each once.

    Raises:
        Stopped: Ctrl-C or SIGTERM came; it says how to go on.
    """
    waiting = list({job.folder: job for job in jobs if job.state in _states(failed)}.values())
    tried = {job.folder for job in waiting}
    remaining = len({job.folder for job in jobs}) - len(waiting)
    are = "is" if remaining == 1 else "are"
    remainder = f"; {remaining} more {are} done, failed, or running elsewhere" if remaining else ""
    at_once = f", {pool.free} at once" if len(waiting) > 1 else ""
    _log.info("sweep folder: %s", display_path(folder.path))
    _log.info("%s to run%s%s", counted(len(waiting), "job"), at_once, remainder)
    try:
        with RunningJobs() as progress, pool:
            while waiting or pool.running:
                pool.ended()
                while waiting and pool.free > 0:
                    _start(pool, waiting.pop(0).folder, failed)
                progress.show(pool.running, len(waiting))
                time.sleep(POLL)
                if not waiting and not pool.running:
                    waiting = _left(tried, jobs)
                    tried |= {job.folder for job in waiting}
    except Stopped as stopped:
        done = sum(job.state == "done" for job in folder.load())
        are = "is" if done == 1 else "are"
        text = (
            f"stopped; {done} of {counted(len(folder.jobs), 'job')} {are} done; resume with: "
            f"detkit sweep resume {shlex.quote(str(display_path(folder.path)))}"
        )
        raise Stopped(text, stopped.exit_code - 128) from None


def _left(tried: set[Path], jobs: Sequence[Job]) -> list[Job]:
    """Jobs that another process ran when this one looked first, and has left half done since."""
    untried = {job.folder for job in jobs} - tried
    return [job for job in map(Job.load, sorted(untried)) if job.state in _TO_START]


def _start(pool: DevicePool, folder: Path, failed: bool) -> None:
    """Start a job, unless another process has come first."""
    job = Job.load(folder)
    if job.state not in _states(failed):
        _log.info("%s: is %s in another process", job.title, job.state)
        return
    run = RunFolder(folder)
    if not run.has_checkpoint:
        run.wandb_run_id.unlink(missing_ok=True)  # what begins again is a new run of W&B
    try:
        pool.start(job)
    except JobTakenError as error:
        _log.info("%s", error)
    except UserError as error:
        job.state, job.error = "failed", str(error)
        job.save()
        _log.info("failed: %s: %s", job.title, job.error)


def _states(failed: bool) -> tuple[str, ...]:
    return (*_TO_START, "failed") if failed else _TO_START
