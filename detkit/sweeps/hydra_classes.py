"""Launchers and sweepers of detkit's own, made known to Hydra; its public API only.

Hydra takes launchers and sweepers from modules below `hydra_plugins` alone, and runs every module
that it finds there at the start of every program that uses Hydra. So there is no such module on
disk: a class is put into one that lives in this process only.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from types import ModuleType
from typing import Any

from hydra.core.config_store import ConfigStore
from hydra.core.plugins import Plugins
from hydra.plugins.plugin import Plugin

from detkit.config.checks.safety import CODE_KEYS

_TARGET = CODE_KEYS[0]
_PACKAGE, _MODULE = "hydra_plugins", "detkit"


def publish(plugin: type[Plugin], group: str, name: str, defaults: Mapping[str, Any]) -> None:
    """Make a class an option of `hydra/launcher` or `hydra/sweeper`; again is harmless.

    Args:
        plugin: The class; its keyword arguments are the keys of the node.
        group: `launcher` or `sweeper`.
        name: The option.
        defaults: The node's keys with their defaults.
    """
    module = _module()
    plugin.__module__ = module.__name__
    setattr(module, plugin.__name__, plugin)
    Plugins.instance().register(plugin)
    node = {_TARGET: f"{module.__name__}.{plugin.__qualname__}", **defaults}
    ConfigStore.instance().store(group=f"hydra/{group}", name=name, node=node, provider="detkit")


def _module() -> ModuleType:
    """The module of this process below `hydra_plugins`, which others may have on disk."""
    name = f"{_PACKAGE}.{_MODULE}"
    if name not in sys.modules:
        try:
            package = importlib.import_module(_PACKAGE)
        except ModuleNotFoundError:
            package = sys.modules[_PACKAGE] = ModuleType(_PACKAGE)
            package.__path__ = []
        sys.modules[name] = ModuleType(name)
        setattr(package, _MODULE, sys.modules[name])
    return sys.modules[name]
