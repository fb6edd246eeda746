"""Whose word is enough to import a plugin: the user's own, never a stranger's page or checkpoint.

Imported are entry points, the folder `plugins/`, what DETKIT_PLUGINS and the command line name, and
what a page in the folder `conf` of the working directory lists. A list in any other place asks only
for plugins that one of these has loaded.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable

from detkit import plugin_files, registry
from detkit.config.checks.safety import Trust
from detkit.errors import ConfigError

VARIABLE = "DETKIT_PLUGINS"
_log = logging.getLogger("detkit.plugins")
_told: set[str] = set()


def load(listed: Iterable[str]) -> None:
    """Import the user's plugins and those listed, and warn once of each that cannot be loaded."""
    registry.load_plugins(listed)
    for name, error in registry.plugin_failures.items():
        if name not in _told:
            _told.add(name)
            _log.warning("warning: %s", plugin_files.failure_text(name, error))


def load_from_page(listed: Iterable[object], where: str, by: Trust) -> None:
    """Import the plugins that a page lists, if the page is the user's own.

    Raises:
        ConfigError: A page of a named folder lists a plugin that is not loaded.
    """
    named = [str(plugin) for plugin in listed]
    if by is Trust.STRANGER:
        require_loaded(named, where)
    else:
        load(named)


def require_loaded(named: Iterable[str], where: str) -> None:
    """Refuse a list of plugins that the user has not allowed; those that are loaded pass.

    Raises:
        ConfigError: It names others.
    """
    missing = not_loaded(named)
    if missing:
        raise ConfigError(
            [
                f"{where}: 'plugins: [{', '.join(missing)}]' is refused: this file imports nothing "
                f"by itself. If you trust the code, say so with plugins=[{','.join(missing)}] on "
                "the command line or in the variable DETKIT_PLUGINS."
            ]
        )


def not_loaded(named: Iterable[str]) -> list[str]:
    """Those plugins that the user's own settings have neither loaded nor tried to load."""
    loaded = {*registry.load_plugins(), *registry.plugin_failures}
    return [plugin for plugin in named if plugin not in loaded]


def for_child(named: Iterable[str]) -> dict[str, str]:
    """The environment variable by which a process that this one starts may load these plugins."""
    listed = [plugin for plugin in os.environ.get(VARIABLE, "").split(os.pathsep) if plugin]
    return {VARIABLE: os.pathsep.join(dict.fromkeys([*listed, *named]))}
