"""`hydra/sweeper=listed`: every combination of the listed values."""

from __future__ import annotations

import itertools
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.core.plugins import Plugins
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

from detkit.config.overrides import prepared
from detkit.config.part_overrides import subject
from detkit.config.sweep_options import ListedOptions, read_options, without_target
from detkit.errors import ConfigError
from detkit.sweeps.device_pool_launcher import DevicePoolLauncher
from detkit.sweeps.typed_overrides import typed_overrides


class ListedSweeper(Sweeper):
    """Hands every combination of the listed values to the launcher in one batch.

    Hydra's own sweeper stops at the first job that cannot be composed or that fails. This one lets
    the launcher report all combinations that cannot run, and a failed job stops no other.
    """

    def __init__(self, **options: Any) -> None:
        """Keep the options; `setup` checks them, because only it receives the overrides."""
        self._given_options = without_target(options)

    def setup(
        self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig
    ) -> None:
        """Check the options and build the launcher.

        Raises:
            ConfigError: With all problems.
        """
        words = typed_overrides(config, "hydra")
        self._params = read_options("sweeper", ListedOptions, self._given_options, words).params
        self._parser = OverridesParser.create(config_loader=hydra_context.config_loader)
        self._launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )

    def sweep(self, arguments: list[str]) -> Any:
        """Launch all combinations; overrides replace the values of `hydra.sweeper.params`.

        Raises:
            ConfigError: The values of an override cannot be listed.
        """
        from_pages = prepared([f"{key}={value}" for key, value in self._params.items()])
        choices: dict[str, list[str]] = {}  # the last override of a key counts
        for override in self._parser.parse_overrides([*from_pages, *arguments]):
            choices[subject(str(override.input_line))] = _choices(override)
        outcomes = self._launcher.launch(list(itertools.product(*choices.values())), 0)
        if not isinstance(self._launcher, DevicePoolLauncher):
            for outcome in outcomes:
                _ = outcome.return_value  # raises the exception of a failed job
        return outcomes


def _choices(override: Override) -> list[str]:
    """The single-value overrides of a swept override, or a plain override itself."""
    if override.is_discrete_sweep():
        key = override.get_key_element()
        return [f"{key}={value}" for value in override.sweep_string_iterator()]
    if override.is_sweep_override():
        raise ConfigError(
            [
                f"{str(override.input_line).lstrip('+')}: has no values to list: list some, or "
                "draw them with hydra/sweeper=optuna."
            ]
        )
    return [str(override.input_line)]
