"""Make detkit's launcher and sweepers known to Hydra, by its public API only.

Hydra builds launchers and sweepers only from modules below `hydra_plugins`, and imports every
module it finds there whenever a program uses Hydra. So detkit installs no such module: it creates
one in memory when a sweep starts. `detkit.config.sweep_options` holds the options' keys.
"""

from __future__ import annotations

import importlib
import sys
from types import ModuleType

from hydra.core.plugins import Plugins
from hydra.plugins.plugin import Plugin

from detkit.config.sweep_options import PLUGIN_MODULE
from detkit.sweeps.device_pool_launcher import DevicePoolLauncher
from detkit.sweeps.listed_sweeper import ListedSweeper
from detkit.sweeps.optuna_sweeper import OptunaSweeper


def publish_classes() -> None:
    """Let Hydra build the launcher and the sweepers; calling it again is harmless."""
    for plugin in (DevicePoolLauncher, ListedSweeper, OptunaSweeper):
        _publish(plugin)


def _publish(plugin: type[Plugin]) -> None:
    module = _module()
    plugin.__module__ = module.__name__
    setattr(module, plugin.__name__, plugin)
    Plugins.instance().register(plugin)


def _module() -> ModuleType:
    """The module in memory; other projects may have a `hydra_plugins` package on disk."""
    if PLUGIN_MODULE not in sys.modules:
        package_name, _, name = PLUGIN_MODULE.partition(".")
        try:
            package = importlib.import_module(package_name)
        except ModuleNotFoundError:
            package = sys.modules[package_name] = ModuleType(package_name)
            package.__path__ = []
        sys.modules[PLUGIN_MODULE] = ModuleType(PLUGIN_MODULE)
        setattr(package, name, sys.modules[PLUGIN_MODULE])
    return sys.modules[PLUGIN_MODULE]
