"""A search from its options to its report."""

from __future__ import annotations

import logging
import os
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path

from omegaconf import DictConfig

from detkit.config.overrides import prepared
from detkit.config.sweep_jobs import Cell, compose_job
from detkit.config.sweep_options import OptunaOptions, read_device_pool, without_target
from detkit.errors import ConfigError, Stopped
from detkit.runs.environment import COMMAND_VARIABLE
from detkit.sweeps.jobs.job import Job, JobFailedError
from detkit.sweeps.jobs.job_checks import check_cells, pool_for
from detkit.sweeps.jobs.sweep_folder import SweepFolder
from detkit.sweeps.search.dimensions import Value
from detkit.sweeps.search.optuna_study import StoredStudy
from detkit.sweeps.search.search_report import failure, report
from detkit.sweeps.search.search_space import Space
from detkit.sweeps.search.search_words import keep_words
from detkit.sweeps.search.trial import Trial
from detkit.sweeps.search.trial_runner import TrialRunner
from detkit.text import agree, counted

JOURNAL = "study.journal"  # in the sweep's folder
_FLAGS = ("-m", "--multirun")
_log = logging.getLogger("detkit.sweeps")


def run_search(options: OptunaOptions, space: Space, config: DictConfig) -> None:
    """Check a space, search it, and report the result.

    Args:
        options: The options of the sweeper.
        space: The search space.
        config: Hydra's composed configuration of the sweep.

    Raises:
        UserError: The space, the storage or the devices are wrong; then nothing is started.
        JobFailedError: A trial failed.
        Stopped: A stop signal came; the message says how to resume.
    """
    launcher = read_device_pool(config.hydra.launcher, config.hydra.overrides.hydra)
    cells = [_cell(space, space.words(values)) for values in _examples(space, options.sampler)]
    good, problems = check_cells(cells)
    if problems and not (launcher.skip_bad and good):
        raise ConfigError(problems)
    pool = pool_for(launcher, (cell.config for cell in good if cell.config))
    sweep_folder = Path(config.hydra.sweep.dir).resolve()
    study = _open_study(options, space, sweep_folder)
    command = os.environ.get(COMMAND_VARIABLE, "")
    words = [word for word in shlex.split(command)[2:] if word not in _FLAGS]
    folder = SweepFolder.begin(sweep_folder, command, words, without_target(config.hydra.launcher))
    keep_words(sweep_folder, words)
    _log.info("sweep folder: %s", sweep_folder)
    _run(TrialRunner(study, pool, TrialQueue(space, folder), options), sweep_folder)
    _log.info("%s", "\n".join(report(study, options.metric, words)))
    if text := failure(study.trials(), launcher.skip_bad):
        raise JobFailedError(text)


class TrialQueue:
    """Turns trials into jobs of the sweep's folder.

    Args:
        space: The search space.
        folder: The sweep's folder.
    """

    def __init__(self, space: Space, folder: SweepFolder) -> None:
        self.space, self.folder = space, folder

    def __call__(self, trial: Trial) -> Job:
        """Compose, check and freeze the job of a trial.

        Raises:
            ConfigError: The trial's overrides do not describe a working detector.
        """
        cell = _cell(self.space, trial.words)
        _, problems = check_cells([cell])
        if problems or cell.config is None:
            raise ConfigError(problems)
        return self.folder.queue([(cell.config, cell.words)])[0]


def _open_study(options: OptunaOptions, space: Space, sweep_folder: Path) -> StoredStudy:
    return StoredStudy(
        Path(options.storage).resolve() if options.storage else sweep_folder / JOURNAL,
        space,
        sampler=options.sampler,
        pruner=options.pruner,
        min_epochs=options.min_epochs,
        seed=options.seed,
        direction=options.direction,
    )


def _examples(space: Space, sampler: str) -> Iterator[dict[str, Value]]:
    """Cells to check before anything starts: a whole grid, or a few cells of a drawn space."""
    return space.cells() if sampler == "grid" else space.examples()


def _cell(space: Space, words: Sequence[str]) -> Cell:
    try:
        config = compose_job("train", [*space.fixed, *prepared(list(words))])
        return Cell(list(words), config, [])
    except ConfigError as error:
        return Cell(list(words), None, error.problems)


def _run(runner: TrialRunner, folder: Path) -> None:
    try:
        with runner.pool:
            runner.run()
    except Stopped as stopped:
        ended = sum(trial.state != "running" for trial in runner.study.trials())
        have = agree(ended, "has", "have")
        raise Stopped(
            f"stopped; {counted(ended, 'trial')} {have} ended; resume with: "
            f"detkit sweep resume {shlex.quote(str(folder))}",
            stopped.exit_code - 128,
        ) from None
