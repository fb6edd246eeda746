"""The folders of pages, and how far each is trusted. Imports neither torch nor hydra."""

from __future__ import annotations

import os
from pathlib import Path

from detkit import registry
from detkit.config.checks.safety import Trust

USER_FOLDER_VARIABLE = "DETKIT_CONFIG_DIR"
OWN_FOLDER = "conf"


def conf_folder() -> Path:
    """The folder of detkit's own pages: inside an installed wheel, else beside the package."""
    package = Path(__file__).resolve().parent.parent
    installed = package / "_conf"
    return installed if installed.is_dir() else package.parent / "conf"


def page_folders() -> list[Path]:
    """The folders of pages, first match wins: the user's, the plugins', then detkit's own.

    Load plugins first, as they bring pages.
    """
    named = os.environ.get(USER_FOLDER_VARIABLE, "").split(os.pathsep)
    folders = [Path(name) for name in named if name] + [Path(OWN_FOLDER)]
    folders += [*registry.plugin_pages(), conf_folder()]
    existing = [folder.resolve() for folder in folders if folder.is_dir()]
    return list(dict.fromkeys(existing))


def trust_of(folder: Path) -> Trust:
    """The trust in the pages of a folder; a plugin's pages are trusted like the user's own."""
    resolved = folder.resolve()
    if resolved == conf_folder().resolve():
        return Trust.DETKIT
    trusted = [Path(OWN_FOLDER), *registry.plugin_pages()]
    return Trust.USER if resolved in [path.resolve() for path in trusted] else Trust.STRANGER
