"""`hydra/sweeper=optuna`: configurations drawn by Optuna, as a plugin of Hydra.

Importing this needs neither Optuna nor torch.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Quote, QuotedString
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig, OmegaConf

from detkit.config.checks.safety import CODE_KEYS
from detkit.config.checks.schema import check
from detkit.config.overrides import listed_plugins, prepared
from detkit.config.plugins import require_loaded
from detkit.config.root import Block
from detkit.errors import ConfigError, UserError
from detkit.files import write_atomically
from detkit.registry import NonNegativeInt, PositiveInt
from detkit.sweeps.device_pool_launcher import POOL
from detkit.sweeps.hydra_classes import publish
from detkit.sweeps.search.search_space import Space, read_space

NAME = "optuna"
WORDS = "search.json"  # in the sweep's folder: what the search was started with


@dataclass(frozen=True)
class Settings:
    """The keys of `hydra.sweeper` beside `hydra/sweeper=optuna`.

    Args:
        trials: Configurations to train, those of earlier starts and of other processes on the same
            storage included; null runs every cell of a grid.
        sampler: `tpe` draws where trials were good (the first ten at random), `random` anywhere,
            `grid` every combination of listed values once.
        pruner: `asha` and `median` end trials early that fall behind the others; `none` ends none.
        min_epochs: Epochs that every trial trains before it may be ended early.
        seed: Every draw follows from it. With one job at a time it repeats a search.
        metric: The column of metrics.csv that is optimised; a trial has its best epoch's.
        direction: Whether the metric is to be high or low.
        storage: The file that the study is kept in; null takes `study.journal` in the sweep's
            folder. Processes on several machines may share it.
        params: What is searched, besides swept words: `key: values`, with values as on the command
            line.
    """

    trials: PositiveInt | None = None
    sampler: Literal["tpe", "random", "grid"] = "tpe"
    pruner: Literal["none", "asha", "median"] = "none"
    min_epochs: PositiveInt = 1
    seed: NonNegativeInt = 0
    metric: str = "val/AP"
    direction: Literal["maximize", "minimize"] = "maximize"
    storage: str | None = None
    params: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class _Hydra:
    sweeper: Annotated[object, Block(f"{__name__}:Settings")]


@dataclass(frozen=True)
class _Root:
    hydra: Annotated[object, Block(f"{__name__}:_Hydra")]


def read_settings(given: Mapping[str, Any], words: Sequence[str] = ()) -> Settings:
    """The settings that were given, checked like the rest of a configuration.

    Raises:
        ConfigError: With all problems that were found.
    """
    complete = check(_Root, {"hydra": {"sweeper": dict(given)}}, list(words))
    settings = Settings(**complete["hydra"]["sweeper"])
    if settings.trials is None and settings.sampler != "grid":
        raise ConfigError(
            [
                f"hydra.sweeper.trials: sampler {settings.sampler} has no end of its own: say how "
                "many configurations to train, such as hydra.sweeper.trials=20."
            ]
        )
    return settings


def space_of(settings: Settings, words: Sequence[str], parser: OverridesParser) -> Space:
    """What is searched: the page's keys, and the words on top.

    Raises:
        ConfigError: A word cannot be read or could run code, or there is nothing to search.
    """
    problems = [
        f"hydra.sweeper.params.{key}: expected values as the command line has them, such as "
        f"'fpn,pan' or 'interval(0.1, 1)', got {value!r}."
        for key, value in settings.params.items()
        if isinstance(value, dict | list) or value is None
    ]
    problems += [
        f"hydra.sweeper.params.{key}: a search has keys of the run, none of Hydra's."
        for key in settings.params
        if key.lstrip("+~").split(".")[0].split("/")[0] == "hydra"
    ]
    if problems:
        raise ConfigError(problems)
    listed = prepared([f"{key}={value}" for key, value in settings.params.items()])
    return read_space(parser.parse_overrides([*listed, *words]))


def require_optuna() -> None:
    """Raise UserError where Optuna is not installed."""
    if importlib.util.find_spec("optuna") is None:
        raise UserError(
            "hydra/sweeper=optuna needs Optuna, which is not installed: "
            'pip install "detkit[optuna]"'
        )


class OptunaSweeper(Sweeper):
    """Draws configurations, and runs them as jobs of the device pool."""

    def __init__(self, **given: Any) -> None:
        self._given = given

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Keep what Hydra has composed."""
        self.hydra_context, self.config = hydra_context, config

    def sweep(self, arguments: list[str]) -> None:
        """Check the whole space, then search it.

        Raises:
            UserError: Settings or space are wrong, or Optuna is missing.
        """
        if self.config is None or self.hydra_context is None:
            raise RuntimeError("Hydra has not called setup")
        require_optuna()
        if (launcher := self.config.hydra.runtime.choices["hydra/launcher"]) != POOL:
            raise UserError(
                f"hydra/launcher={launcher}: trials are run by the device pool: leave this out. On "
                "SLURM, start the same search in several jobs (docs/sweeps.md)."
            )
        settings = read_settings(node_of(self.config.hydra.sweeper), _words(self.config))
        parser = OverridesParser.create(config_loader=self.hydra_context.config_loader)
        space = space_of(settings, arguments, parser)
        # Imported here since it takes torch, Lightning and Optuna along.
        run = importlib.import_module("detkit.sweeps.search.run_search").run_search
        run(settings, space, self.config)


def node_of(config: Any) -> dict[str, Any]:
    """The keys that were given for a plugin of Hydra's."""
    plain = OmegaConf.to_container(config, resolve=True)
    items = plain.items() if isinstance(plain, dict) else ()
    return {str(key): value for key, value in items if key != CODE_KEYS[0]}


def _words(config: DictConfig) -> list[str]:
    return [str(word) for word in config.hydra.overrides.hydra]


def keep_words(folder: Path, words: Sequence[str]) -> None:
    """Keep what a search was started with in its folder, for `detkit sweep resume`."""
    text = json.dumps(list(words), indent=1, ensure_ascii=False)
    write_atomically(folder / WORDS, text)


def is_search(folder: Path) -> bool:
    """Whether a folder is that of a search."""
    return (folder / WORDS).is_file()


def words_to_resume(folder: Path) -> list[str] | None:
    """What goes on with the search of a folder, or joins it; None where no search was.

    Raises:
        UserError: The record is damaged, or lists plugins that the user has not allowed.
    """
    if not is_search(folder):
        return None
    file = folder / WORDS
    try:
        words = [str(word) for word in json.loads(file.read_text(encoding="utf-8"))]
    except (OSError, ValueError, TypeError) as error:
        raise UserError(f"{file}: is damaged, no record of a search: {error}.") from error
    require_loaded(listed_plugins(words), str(file))
    stored_words = [word for word in words if word.partition("=")[0] != "hydra.sweep.dir"]
    return [*stored_words, f"hydra.sweep.dir={_quoted(str(folder))}"]


def _quoted(text: str) -> str:
    return QuotedString(text, Quote.single).with_quotes()


def publish_sweeper() -> None:
    """Make `hydra/sweeper=optuna` known to Hydra; calling it again is harmless."""
    publish(OptunaSweeper, "sweeper", NAME, asdict(Settings()))
