"""`hydra/sweeper=optuna`: configurations drawn by Optuna. Importing this needs no Optuna."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Sequence
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from detkit.config.overrides import prepared
from detkit.config.sweep_options import DEVICE_POOL, OptunaOptions, read_optuna
from detkit.errors import ConfigError, UserError
from detkit.sweeps.search.search_space import Space, read_space


class OptunaSweeper(Sweeper):
    """Draws configurations and runs them as jobs of the device pool."""

    def __init__(self, **options: Any) -> None:
        """Accept the options; `sweep` reads them from the whole configuration."""

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Keep Hydra's context and configuration."""
        self.hydra_context, self.config = hydra_context, config

    def sweep(self, arguments: list[str]) -> None:
        """Check the whole space, then search it.

        Raises:
            UserError: The options or the space are wrong, or Optuna is missing.
        """
        if self.config is None or self.hydra_context is None:
            raise RuntimeError("Hydra has not called setup")
        require_optuna()
        launcher = self.config.hydra.runtime.choices["hydra/launcher"]
        if launcher != DEVICE_POOL:
            raise UserError(
                f"hydra/launcher={launcher}: only the device pool runs trials: remove this "
                "override. On SLURM, start the same search in several jobs (docs/sweeps.md)."
            )
        options = read_optuna(
            self.config.hydra.sweeper, list(map(str, self.config.hydra.overrides.hydra))
        )
        parser = OverridesParser.create(config_loader=self.hydra_context.config_loader)
        space = space_of(options, arguments, parser)
        # Optuna is optional, so the modules that need it are imported only here.
        search = importlib.import_module("detkit.sweeps.search.run_search")
        search.run_search(options, space, self.config)


def require_optuna() -> None:
    """Raise UserError if Optuna is not installed."""
    if importlib.util.find_spec("optuna") is None:
        raise UserError(
            "hydra/sweeper=optuna needs Optuna, which is not installed: "
            'pip install "detkit[optuna]"'
        )


def space_of(options: OptunaOptions, words: Sequence[str], parser: OverridesParser) -> Space:
    """The search space: the keys of `hydra.sweeper.params`, and overrides that replace them.

    Raises:
        ConfigError: An override cannot be read or could run code, or there is nothing to search.
    """
    problems = [
        f"hydra.sweeper.params.{key}: expected values as on the command line, such as 'fpn,pan' or "
        f"'interval(0.1, 1)', got {value!r}."
        for key, value in options.params.items()
        if isinstance(value, dict | list) or value is None
    ]
    problems += [
        f"hydra.sweeper.params.{key}: a search varies keys of the run, not of Hydra."
        for key in options.params
        if key.lstrip("+~").split(".")[0].split("/")[0] == "hydra"
    ]
    if problems:
        raise ConfigError(problems)
    from_pages = prepared([f"{key}={value}" for key, value in options.params.items()])
    return read_space(parser.parse_overrides([*from_pages, *words]))
