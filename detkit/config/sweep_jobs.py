"""Compose the jobs of a sweep, and check all of them before the first one starts."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from itertools import islice
from typing import NamedTuple

from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from detkit.config.compose import Config, checked, hydra_compose
from detkit.config.composition import composing
from detkit.config.derived.data_path import data_folder_overrides
from detkit.config.hydra_errors import translated_errors
from detkit.config.hydra_session import hydra_session
from detkit.config.overrides import has_no_list, jobs
from detkit.config.part_overrides import hydra_words
from detkit.errors import ConfigError

_MOST_TRIED = 100  # jobs that are composed to find one that can be
_GRIDS = ("listed", "basic")  # the sweepers that run every combination of listed values


class Multirun(NamedTuple):
    """The folder, launcher and sweeper of a sweep.

    Attributes:
        folder: `hydra.sweep.dir`, with the current time in its name.
        launcher: The option of `hydra/launcher`.
        sweeper: The option of `hydra/sweeper`.
    """

    folder: str
    launcher: str
    sweeper: str


def multirun(root: str, prepared_words: list[str]) -> Multirun:
    """Read a sweep's folder, launcher and sweeper from its first job that can be composed.

    Raises:
        ConfigError: None of the first jobs can be composed.
    """
    listed = [word for word in prepared_words if not has_no_list(word)]
    problem: ConfigError | None = None
    with hydra_session():
        for job in islice(jobs(listed), _MOST_TRIED):
            try:
                with composing(), translated_errors():
                    composed, _ = hydra_compose(root, job)
                    choices = composed.hydra.runtime.choices
                    launcher, sweeper = (choices[f"hydra/{kind}"] for kind in Multirun._fields[1:])
                    return Multirun(str(composed.hydra.sweep.dir), launcher, sweeper)
            except ConfigError as error:
                problem = problem or error
    raise problem or ConfigError(["there is no job"])


def check_jobs(root: str, prepared_words: list[str]) -> None:
    """Compose and check each job of a sweep over listed values.

    Sweepers that draw values check their own settings.

    Raises:
        ConfigError: One message per problem, with the first job affected.
    """
    if multirun(root, prepared_words).sweeper not in _GRIDS:
        return
    if endless := [word.lstrip("+") for word in prepared_words if has_no_list(word)]:
        raise ConfigError(
            [
                f"{word}: a grid needs listed values (0.1,0.2 or range(1,5)); intervals need "
                "hydra/sweeper=optuna."
                for word in endless
            ]
        )
    problems: dict[str, str] = {}
    for cell in cells(root, prepared_words):
        for problem in cell.problems:
            problems.setdefault(problem, f" (job {' '.join(cell.words)})" if cell.words else "")
    if problems:
        raise ConfigError([f"{problem}{job}" for problem, job in problems.items()])


@dataclass(frozen=True)
class Cell:
    """A job of a sweep before it starts.

    Attributes:
        words: Its values of the swept keys; empty for a single job.
        config: Its checked configuration, or None.
        problems: The problems of a job without configuration.
    """

    words: list[str]
    config: Config | None
    problems: list[str]


def cells(root: str, prepared_words: list[str]) -> list[Cell]:
    """Compose and check each job of a sweep over listed values, wrong ones included."""
    with hydra_session():
        return [_cell(root, words, prepared_words) for words in jobs(prepared_words)]


def _cell(root: str, words: list[str], prepared_words: list[str]) -> Cell:
    choices = [word.lstrip("+") for word in words if word not in prepared_words]
    try:
        return Cell(choices, compose_job(root, words), [])
    except ConfigError as error:
        return Cell(choices, None, error.problems)


def compose_job(root: str, prepared_words: list[str]) -> Config:
    """Compose and check one job while Hydra is initialised, as it is while a sweeper runs.

    Raises:
        ConfigError: With all problems that were found.
    """
    with composing(), translated_errors():
        return checked(root, *hydra_compose(root, prepared_words))


def checked_job(root: str, composed: DictConfig, words: list[str]) -> Config:
    """The configuration of a job composed by one of Hydra's own launchers.

    Hydra neither replaces named parts as a whole nor reads images from a bare `data.path`. A job
    with such overrides is composed again.

    Raises:
        ConfigError: With all problems that were found.
    """
    choices = HydraConfig.get().runtime.choices
    if hydra_words(words) == words and not data_folder_overrides(composed, choices, words):
        return checked(root, composed, words)
    is_set_up = GlobalHydra.instance().is_initialized()
    with nullcontext() if is_set_up else hydra_session():
        return compose_job(root, words)
