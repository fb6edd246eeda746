"""`hydra/launcher=device_pool`: runs the jobs of a sweep in parallel on this machine's devices."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from detkit.config.sweep_jobs import Cell, compose_job
from detkit.config.sweep_options import read_device_pool, without_target
from detkit.errors import ConfigError
from detkit.sweeps.jobs.job import Job, JobFailedError
from detkit.sweeps.jobs.run_jobs import launch
from detkit.sweeps.typed_overrides import typed_overrides

_FOLDERS = ("run_folder", "hydra.sweep.subdir")
_WITHOUT_EFFECT = ("hydra.output_subdir", "hydra.job.name", "hydra.job.chdir", "hydra.verbose")


class DevicePoolLauncher(Launcher):
    """Runs jobs in parallel on reserved devices, from a queue on disk."""

    def __init__(self, **options: Any) -> None:
        """Keep the options; `setup` checks them, because only it receives the overrides."""
        self._given_options = without_target(options)

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Check the options, and refuse overrides that only other launchers use.

        Raises:
            ConfigError: With all problems.
        """
        hydra_overrides = typed_overrides(config, "hydra")
        self._task_overrides = typed_overrides(config, "task")
        self._options = read_device_pool(self._given_options, hydra_overrides)
        self._folder = Path(config.hydra.sweep.dir)
        keys = [_key(word) for word in (*self._task_overrides, *hydra_overrides)]
        problems = [
            f"{key}: the device pool names each job's folder after its overrides, in "
            "hydra.sweep.dir: remove this key."
            for key in _FOLDERS
            if key in keys
        ]
        problems += [
            f"{key}: has no effect on jobs of a device pool: remove this key."
            for key in _WITHOUT_EFFECT
            if key in keys
        ]
        if problems:
            raise ConfigError(problems)

    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int
    ) -> Sequence[JobReturn]:
        """Compose, check and queue all jobs, then run them.

        Raises:
            ConfigError: A job cannot run; none was started.
            Stopped: Ctrl-C or SIGTERM came; the running jobs have saved a checkpoint.
        """
        cells = [self._cell(list(words)) for words in job_overrides]
        jobs = launch(self._folder, self._options, self._given_options, cells)
        return [_job_return(cell, job) for cell, job in zip(cells, jobs, strict=True)]

    def _cell(self, words: list[str]) -> Cell:
        choices = [word.lstrip("+") for word in words if word not in self._task_overrides]
        try:
            return Cell(choices, compose_job("train", words), [])
        except ConfigError as error:
            return Cell(choices, None, error.problems)


def _job_return(cell: Cell, job: Job | None) -> JobReturn:
    """The outcome of a job in the form that Hydra's sweepers expect."""
    outcome = JobReturn(overrides=list(cell.words), cfg=OmegaConf.create(cell.config or {}))
    if job is not None and job.state == "done":
        outcome.status, outcome.return_value = JobStatus.COMPLETED, job.score()
    else:
        outcome.status = JobStatus.FAILED
        outcome.return_value = JobFailedError(f"{' '.join(cell.words)}: not done")
    outcome.working_dir = None if job is None else str(job.folder)
    return outcome


def _key(word: str) -> str:
    return word.lstrip("+~").partition("=")[0]
