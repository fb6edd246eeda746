"""`hydra/launcher=device_pool` and `hydra/sweeper=listed`; Hydra's public API only.

Importing this needs no torch: it is done wherever something is composed.
"""

from __future__ import annotations

import importlib
import itertools
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn, JobStatus
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from detkit.config.checks.schema import check
from detkit.config.overrides import prepared
from detkit.config.part_overrides import subject
from detkit.config.root import Block
from detkit.config.sweep_jobs import Cell, compose_job
from detkit.errors import ConfigError, UserError
from detkit.sweeps.hydra_classes import publish
from detkit.sweeps.jobs.devices import Settings, read_settings

POOL, LISTED = "device_pool", "listed"
_WITHOUT_EFFECT = ("hydra.output_subdir", "hydra.job.name", "hydra.job.chdir", "hydra.verbose")


@dataclass(frozen=True)
class Listed:
    """The keys of `hydra.sweeper` beside `hydra/sweeper=listed`.

    Args:
        params: What is swept besides swept words: `key: values`, with values as on the command
            line.
    """

    params: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class _Hydra:
    sweeper: Annotated[object, Block(f"{__name__}:Listed")]


@dataclass(frozen=True)
class _Root:
    hydra: Annotated[object, Block(f"{__name__}:_Hydra")]


class JobFailedError(UserError):
    """A job of a sweep has failed; its record and its output tell why."""


class DevicePoolLauncher(Launcher):
    """Runs jobs side by side on reserved devices, from a queue on disk."""

    def __init__(self, **given: Any) -> None:
        """Keep the settings, which are checked when Hydra's own configuration is there."""
        self._given = given

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Check the settings, and the words that only other launchers heed.

        Raises:
            ConfigError: With all problems that were found.
        """
        self._typed, hydras = (_words(config, kind) for kind in ("task", "hydra"))
        self._settings = read_settings(self._given, hydras)
        self._folder = Path(config.hydra.sweep.dir)
        keys = [_key(word) for word in (*self._typed, *hydras)]
        problems = [
            f"{key}: the jobs of a device pool lie in hydra.sweep.dir, each in a folder that is "
            "named after its overrides: remove this key."
            for key in ("run_folder", "hydra.sweep.subdir")
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
            ConfigError: A job cannot run, and none was started.
            Stopped: Ctrl-C or SIGTERM came; what ran has saved a checkpoint.
        """
        cells = [self._cell(list(words)) for words in job_overrides]
        # By name, since this takes torch along, which composing does without.
        launch = importlib.import_module("detkit.sweeps.jobs.run_jobs").launch
        jobs = launch(self._folder, self._settings, self._given, cells)
        returns = []
        for cell, job in zip(cells, jobs, strict=True):
            returned = JobReturn(
                overrides=list(cell.words), cfg=OmegaConf.create(cell.config or {})
            )
            done = job is not None and job.state == "done"
            returned.status = JobStatus.COMPLETED if done else JobStatus.FAILED
            name = " ".join(cell.words)
            returned.return_value = job.score() if done else JobFailedError(f"{name}: not done")
            returned.working_dir = None if job is None else str(job.folder)
            returns.append(returned)
        return returns

    def _cell(self, words: list[str]) -> Cell:
        choices = [word.lstrip("+") for word in words if word not in self._typed]
        try:
            return Cell(choices, compose_job("train", words), [])
        except ConfigError as error:
            return Cell(choices, None, error.problems)


class ListedSweeper(Sweeper):
    """Every combination of the listed values, as one batch for the launcher.

    Unlike Hydra's own, it leaves it to the launcher to say which combinations cannot run, and a
    job that fails ends nothing.
    """

    def __init__(self, **given: Any) -> None:
        """Keep the settings, which are checked when Hydra's own configuration is there."""
        self._given = given

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Check the settings and make the launcher.

        Raises:
            ConfigError: With all problems that were found.
        """
        given = {"hydra": {"sweeper": OmegaConf.to_container(OmegaConf.create(self._given))}}
        self._params = check(_Root, given, _words(config, "hydra"))["hydra"]["sweeper"]
        self._parser = OverridesParser.create(config_loader=hydra_context.config_loader)
        self._launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> Any:
        """Launch all combinations of the words' values, and of the pages' where no word is.

        Raises:
            ConfigError: A word has no values that could be listed.
        """
        listed = prepared([f"{key}={value}" for key, value in self._params["params"].items()])
        values: dict[str, list[str]] = {}
        for override in self._parser.parse_overrides([*listed, *arguments]):
            key = override.get_key_element()
            if override.is_discrete_sweep():
                words = [f"{key}={value}" for value in override.sweep_string_iterator()]
            elif override.is_sweep_override():
                raise ConfigError(
                    [
                        f"{str(override.input_line).lstrip('+')}: has no values to list: list "
                        "some, or draw them with hydra/sweeper=optuna."
                    ]
                )
            else:
                words = [str(override.input_line)]
            values[subject(str(override.input_line))] = words
        returned = self._launcher.launch(list(itertools.product(*values.values())), 0)
        if not isinstance(self._launcher, DevicePoolLauncher):
            for job in returned:
                _ = job.return_value  # raises what the job has raised
        return returned


def publish_launcher() -> None:
    """Make both known to Hydra; again is harmless."""
    publish(DevicePoolLauncher, "launcher", POOL, asdict(Settings()))
    publish(ListedSweeper, "sweeper", LISTED, {"params": {}})


def _words(config: DictConfig, kind: str) -> list[str]:
    """Words of the command line as they were typed, `${...}` in them left alone."""
    words = OmegaConf.to_container(config.hydra.overrides[kind], resolve=False)
    return [str(word) for word in words or []]


def _key(word: str) -> str:
    return word.lstrip("+~").partition("=")[0]
