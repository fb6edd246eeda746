"""Queue the jobs of a sweep and run them to their end."""

from __future__ import annotations

import logging
import os
import shlex
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from detkit.config.sweep_jobs import Cell
from detkit.config.sweep_options import DevicePoolOptions
from detkit.errors import ConfigError, Stopped, UserError
from detkit.files import display_path
from detkit.runs.environment import COMMAND_VARIABLE
from detkit.runs.frozen_config import read_config, require_plugins
from detkit.runs.layout import RunFolder
from detkit.sweeps.jobs.device_pool import DevicePool
from detkit.sweeps.jobs.job import Job, JobTakenError
from detkit.sweeps.jobs.job_checks import check_cells, pool_for
from detkit.sweeps.jobs.progress_line import ProgressLine
from detkit.sweeps.jobs.sweep_folder import SweepFolder
from detkit.text import agree, counted

POLL = 0.2  # seconds between two looks at the running jobs
_TO_START = ("waiting", "stopped")
_log = logging.getLogger("detkit.sweeps")


def launch(
    path: Path,
    options: DevicePoolOptions,
    given_options: Mapping[str, Any],
    cells: Sequence[Cell],
) -> list[Job | None]:
    """Queue the cells of a sweep as jobs in its folder, and run the unfinished ones.

    Args:
        path: The sweep's folder.
        options: The launcher's options.
        given_options: The options that were given, to be recorded for `detkit sweep resume`.
        cells: The jobs to be.

    Returns:
        The job of each cell; None for a skipped cell that cannot run.

    Raises:
        ConfigError: A cell cannot run and none may be skipped, or no cell can run; no job was
            started.
        Stopped: Ctrl-C or SIGTERM came.
    """
    runnable, problems = check_cells(cells)
    if problems and (not runnable or not options.skip_bad):
        if runnable:
            problems[-1] += f" The other {counted(len(runnable), 'job')} can run: --skip-bad."
        raise ConfigError(problems)
    for problem in problems:
        _log.warning("left out: %s", problem)
    pool = pool_for(options, (cell.config for cell in runnable if cell.config))
    typed = shlex.split(os.environ.get(COMMAND_VARIABLE, ""))[2:]
    words = [word for word in typed if word not in ("-m", "--multirun")]
    command = shlex.join(["detkit", "sweep", *words])
    folder = SweepFolder.begin(path, command, words, given_options)
    queued = folder.queue([(cell.config or {}, cell.words) for cell in runnable])
    run(folder, queued, pool)
    jobs = {id(cell): Job.load(job.folder) for cell, job in zip(runnable, queued, strict=True)}
    return [jobs.get(id(cell)) for cell in cells]


def resume(path: Path, options: DevicePoolOptions, failed: bool) -> SweepFolder:
    """Run the unfinished jobs of a sweep, each from its last checkpoint.

    Args:
        path: The sweep's folder.
        options: The launcher's options.
        failed: Whether to start failed jobs again, too.

    Raises:
        UserError: There is no sweep, or it lists plugins that the user has not allowed.
        Stopped: Ctrl-C or SIGTERM came.
    """
    folder = SweepFolder.open(path)
    jobs = folder.load()
    selected = [job for job in jobs if job.state in _startable_states(failed)]
    configs = {job.folder: read_config(job.folder) for job in selected}
    for job_folder, config in configs.items():
        require_plugins(config, job_folder)
    if selected:
        run(folder, jobs, pool_for(options, configs.values()), failed)
    return folder


def run(folder: SweepFolder, jobs: Sequence[Job], pool: DevicePool, failed: bool = False) -> None:
    """Run the unfinished jobs of a sweep, each once.

    Raises:
        Stopped: Ctrl-C or SIGTERM came; the message says how to resume.
    """
    states = _startable_states(failed)
    waiting = list({job.folder: job for job in jobs if job.state in states}.values())
    tried = {job.folder for job in waiting}
    _announce(folder, waiting, jobs, pool)
    try:
        with ProgressLine() as progress, pool:
            while waiting or pool.running:
                pool.ended()
                while waiting and pool.free > 0:
                    _start(pool, waiting.pop(0).folder, failed)
                progress.show(pool.running, len(waiting))
                time.sleep(POLL)
                if not waiting and not pool.running:
                    waiting = _abandoned(tried, jobs)
                    tried |= {job.folder for job in waiting}
    except Stopped as stopped:
        done = sum(job.state == "done" for job in folder.load())
        text = (
            f"stopped; {done} of {counted(len(folder.jobs), 'job')} {agree(done, 'is', 'are')} "
            f"done; resume with: detkit sweep resume {shlex.quote(display_path(folder.path))}"
        )
        raise Stopped(text, stopped.exit_code - 128) from None


def _announce(
    folder: SweepFolder, waiting: Sequence[Job], jobs: Sequence[Job], pool: DevicePool
) -> None:
    """Log the folder, how many jobs will run, and how many will not."""
    other_count = len({job.folder for job in jobs}) - len(waiting)
    other_jobs = ""
    if other_count:
        are = agree(other_count, "is", "are")
        other_jobs = f"; {other_count} more {are} done, failed, or running elsewhere"
    at_once = f", {pool.free} at once" if len(waiting) > 1 else ""
    _log.info("sweep folder: %s", display_path(folder.path))
    _log.info("%s to run%s%s", counted(len(waiting), "job"), at_once, other_jobs)


def _abandoned(tried: set[Path], jobs: Sequence[Job]) -> list[Job]:
    """Jobs that another process was running at first, and has since stopped unfinished."""
    untried = {job.folder for job in jobs} - tried
    return [job for job in map(Job.load, sorted(untried)) if job.state in _TO_START]


def _start(pool: DevicePool, folder: Path, failed: bool) -> None:
    """Start a job, unless another process was faster."""
    job = Job.load(folder)
    if job.state not in _startable_states(failed):
        _log.info("%s: is %s in another process", job.title, job.state)
        return
    run_folder = RunFolder(folder)
    if not run_folder.has_checkpoint:
        run_folder.wandb_run_id.unlink(missing_ok=True)  # a fresh start is a new run in W&B
    try:
        pool.start(job)
    except JobTakenError as error:
        _log.info("%s", error)
    except UserError as error:
        job.state, job.error = "failed", str(error)
        job.save()
        _log.info("failed: %s: %s", job.title, job.error)


def _startable_states(failed: bool) -> tuple[str, ...]:
    return (*_TO_START, "failed") if failed else _TO_START
