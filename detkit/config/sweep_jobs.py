"""What a sweep is as a whole, and the check of all its jobs before the first one starts."""

from __future__ import annotations

from itertools import islice
from typing import NamedTuple

from detkit.config import compose
from detkit.config.hydra_errors import translated_errors
from detkit.config.overrides import has_no_list, jobs
from detkit.errors import ConfigError

_MOST_TRIED = 100  # jobs that are composed to find one that can be
_GRIDS = ("listed", "basic")  # the sweepers that run every combination of listed values


class Multirun(NamedTuple):
    """How the jobs of a sweep are made and run.

    Attributes:
        folder: `hydra.sweep.dir`, the time in it being that of the question.
        launcher: The option of `hydra/launcher`.
        sweeper: The option of `hydra/sweeper`.
    """

    folder: str
    launcher: str
    sweeper: str


def multirun(root: str, prepared_words: list[str]) -> Multirun:
    """What the first job of a sweep that can be composed says of the whole.

    Raises:
        ConfigError: None of the first ones can be composed.
    """
    listed = [word for word in prepared_words if not has_no_list(word)]
    problem: ConfigError | None = None
    with compose.set_up():
        for job in islice(jobs(listed), _MOST_TRIED):
            try:
                with translated_errors():
                    composed, _ = compose.hydra_compose(root, job)
                    choices = composed.hydra.runtime.choices
                    launcher, sweeper = (choices[f"hydra/{kind}"] for kind in Multirun._fields[1:])
                    return Multirun(str(composed.hydra.sweep.dir), launcher, sweeper)
            except ConfigError as error:
                problem = problem or error
    raise problem or ConfigError(["there is no job"])


def check_jobs(root: str, prepared_words: list[str]) -> None:
    """Compose and check each job of a sweep over listed values.

    A sweeper that draws values checks what it draws from by itself.

    Raises:
        ConfigError: One message per problem, with the first job that has it.
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
    for cell in compose.cells(root, prepared_words):
        for problem in cell.problems:
            problems.setdefault(problem, f" (job {' '.join(cell.words)})" if cell.words else "")
    if problems:
        raise ConfigError([f"{problem}{job}" for problem, job in problems.items()])
