"""A search from its settings to its best trial."""

from __future__ import annotations

import logging
import os
import shlex
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from omegaconf import DictConfig

from detkit.config.overrides import prepared
from detkit.config.part_overrides import subject
from detkit.config.sweep_jobs import Cell, compose_job
from detkit.errors import ConfigError, Stopped
from detkit.runs.environment import COMMAND_VARIABLE
from detkit.sweeps.device_pool_launcher import JobFailedError
from detkit.sweeps.jobs import devices
from detkit.sweeps.jobs.job import Job
from detkit.sweeps.jobs.run_jobs import checked, pool_for
from detkit.sweeps.jobs.sweep_folder import SweepFolder
from detkit.sweeps.optuna_sweeper import Settings, keep_words, node_of
from detkit.sweeps.search.optuna_study import StoredStudy, Trial
from detkit.sweeps.search.search_space import Space, Value
from detkit.sweeps.search.trial_runner import Search
from detkit.text import LONGEST_CELL, align_columns, counted, split_setting

JOURNAL = "study.journal"  # in the sweep's folder
_FLAGS = ("-m", "--multirun")
_SHOWN = ("done", "pruned", "failed", "running")  # states, as they are counted
MOST_ROWS = 20  # of the table
_log = logging.getLogger("detkit.sweeps")


def run_search(settings: Settings, space: Space, config: DictConfig) -> None:
    """Check a space, search it, and report the result.

    Args:
        settings: Settings of the sweeper.
        space: The search space.
        config: Hydra's composed configuration of the sweep.

    Raises:
        UserError: The space, the storage or the devices are wrong; then nothing is started.
        JobFailedError: A trial failed.
        Stopped: A stop signal came; the message says how to resume.
    """
    launcher_node = node_of(config.hydra.launcher)
    launcher = devices.read_settings(launcher_node, config.hydra.overrides.hydra)
    cells = [_cell(space, space.words(values)) for values in _examples(space, settings.sampler)]
    good, problems = checked(cells)
    if problems and not (launcher.skip_bad and good):
        raise ConfigError(problems)
    pool = pool_for(launcher, (cell.config for cell in good if cell.config))
    sweep_folder = Path(config.hydra.sweep.dir).resolve()
    study = StoredStudy(
        Path(settings.storage).resolve() if settings.storage else sweep_folder / JOURNAL,
        space,
        sampler=settings.sampler,
        pruner=settings.pruner,
        min_epochs=settings.min_epochs,
        seed=settings.seed,
        direction=settings.direction,
    )
    command = os.environ.get(COMMAND_VARIABLE, "")
    words = [word for word in shlex.split(command)[2:] if word not in _FLAGS]
    folder = SweepFolder.begin(sweep_folder, command, words, launcher_node)
    keep_words(sweep_folder, words)
    _log.info("sweep folder: %s", sweep_folder)
    _run(Search(study, pool, Queue(space, folder), settings), sweep_folder)
    _log.info("%s", "\n".join(report(study, settings.metric, words)))
    if text := failure(study.trials(), launcher.skip_bad):
        raise JobFailedError(text)


def failure(trials: Sequence[Trial], skip_bad: bool) -> str | None:
    """Why a search counts as failed: a trial failed or could not be composed; None if it did not.

    Args:
        trials: All trials.
        skip_bad: Whether trials that cannot be composed are allowed if others succeed.
    """
    failed = [trial for trial in trials if trial.state == "failed"]
    if skip_bad and any(trial.state in ("done", "pruned") for trial in trials):
        failed = [trial for trial in failed if trial.folder is not None]
    if not failed:
        return None
    return f"{counted(len(failed), 'trial')} failed; the first: {failed[0].note}"


def _run(search: Search, folder: Path) -> None:
    try:
        with search.pool:
            search.run()
    except Stopped as stopped:
        ended = sum(trial.state != "running" for trial in search.study.trials())
        have = "has" if ended == 1 else "have"
        raise Stopped(
            f"stopped; {counted(ended, 'trial')} {have} ended; resume with: "
            f"detkit sweep resume {shlex.quote(str(folder))}",
            stopped.exit_code - 128,
        ) from None


class Queue:
    """Makes jobs of trials.

    Args:
        space: What is searched.
        folder: Where the jobs lie.
    """

    def __init__(self, space: Space, folder: SweepFolder) -> None:
        self.space, self.folder = space, folder

    def __call__(self, trial: Trial) -> Job:
        """The job of a trial, composed, checked and frozen.

        Raises:
            ConfigError: Its words make no detector.
        """
        cell = _cell(self.space, trial.words)
        _, problems = checked([cell])
        if problems or cell.config is None:
            raise ConfigError(problems)
        return self.folder.queue([(cell.config, cell.words)])[0]


def _examples(space: Space, sampler: str) -> Iterator[dict[str, Value]]:
    """What is checked before anything starts: every cell of a grid, few of what is drawn."""
    return space.cells() if sampler == "grid" else space.examples()


def _cell(space: Space, words: Sequence[str]) -> Cell:
    try:
        config = compose_job("train", [*space.fixed, *prepared(list(words))])
        return Cell(list(words), config, [])
    except ConfigError as error:
        return Cell(list(words), None, error.problems)


def report(study: StoredStudy, metric: str, words: Sequence[str]) -> list[str]:
    """What came of a search: a table, the best first, and how to train the best again.

    Args:
        study: The search.
        metric: What its values are.
        words: What was typed.
    """
    ranking = study.ranking()
    keys = [dimension.key for dimension in study.space.dimensions]
    rows = [["trial", "state", metric, *keys]]
    for trial in ranking[:MOST_ROWS]:
        value = "" if trial.value is None else f"{trial.value:.4f}"
        rows.append(
            [str(trial.number), trial.state, value, *dict(map(split_setting, trial.words)).values()]
        )
    lines = align_columns(rows, (0, 2), longest=LONGEST_CELL)
    if len(ranking) > MOST_ROWS:
        lines.append(f"... and {len(ranking) - MOST_ROWS:,} more")
    counts = Counter(trial.state for trial in ranking)
    states = ", ".join(f"{counts[state]} {state}" for state in _SHOWN if counts[state])
    lines.append(f"{counted(len(ranking), 'trial')}: {states}")
    lines += [f"failed: trial {t.number}: {t.note}" for t in ranking if t.state == "failed"]
    if ranking and ranking[0].state == "done":
        best = ranking[0]
        settings = [word for word in words if not _is_searched(word, keys)]
        lines.append(f"best: trial {best.number}, {metric} {best.value:.4f}, {best.folder}")
        lines.append(f"  {shlex.join(['detkit', 'train', *settings, *best.words])}")
    return lines


def _is_searched(word: str, keys: Sequence[str]) -> bool:
    """Whether an override concerns the search, not a setting of every trial."""
    if word.startswith("-") or "=" not in word:  # a flag, or the word after it
        return False
    drawn = {subject(f"{key}=value") for key in keys}
    return word.lstrip("+~").startswith(("hydra.", "hydra/")) or subject(word) in drawn
