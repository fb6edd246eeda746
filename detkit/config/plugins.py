"""Load plugins that the user allows; a stranger's page or checkpoint cannot load one.

The user allows entry points, the folder `plugins/`, DETKIT_PLUGINS, `plugins=` on the command line,
and the pages in the folder `conf` of the working directory. Any other page or checkpoint may only
list plugins that are already loaded.
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
_reported: set[str] = set()


def load(listed: Iterable[str]) -> None:
    """Import the user's plugins and the listed ones; warn once of each that cannot be loaded."""
    registry.load_plugins(listed)
    for name, error in registry.plugin_failures.items():
        if name not in _reported:
            _reported.add(name)
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
    """Refuse plugins that the user has not allowed.

    Raises:
        ConfigError: One of them is not loaded.
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
    """The plugins that detkit has neither loaded nor tried to load."""
    loaded = {*registry.load_plugins(), *registry.plugin_failures}
    return [plugin for plugin in named if plugin not in loaded]


def for_child(named: Iterable[str]) -> dict[str, str]:
    """The environment variable that allows a child process to load these plugins."""
    listed = [plugin for plugin in os.environ.get(VARIABLE, "").split(os.pathsep) if plugin]
    return {VARIABLE: os.pathsep.join(dict.fromkeys([*listed, *named]))}
