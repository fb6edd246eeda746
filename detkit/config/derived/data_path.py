"""`data.path=FOLDER` means the user's own images; only `data=shapes` renders into a folder.

`data=shapes` is the default of a training, so that `detkit train` works without arguments. Without
this module, a `data.path` from the command line or a page would be filled with rendered shapes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from omegaconf import DictConfig

from detkit.config.composition import current
from detkit.config.folders import conf_folder
from detkit.config.pages import CHECKPOINT

RENDERED = "shapes"
OWN = "data=folder"
_REQUEST = re.compile(r"\+{0,2}data(/reader|\.reader(\.name)?)?=(?!checkpoint)")
_PATH = re.compile(r"\+{0,2}data\.path=")
RENDER_HINT = (
    " data.path alone means your own images (data=folder); data=shapes data.path=FOLDER renders "
    "the embedded data set into FOLDER."
)


def data_folder_overrides(
    composed: DictConfig, choices: Mapping[str, Any], words: Sequence[str], resuming: bool = False
) -> list[str]:
    """The override that reads the user's own images instead of rendering into their folder.

    Args:
        composed: Hydra's result for the words.
        choices: The option of each group, as Hydra lists them.
        words: The overrides.
        resuming: Whether a run is resumed; it keeps its reader, and a new path means moved data.

    Returns:
        `data=folder`, or only the reader for the data of a run, or nothing if shapes are requested
        or no path is set.
    """
    data = composed.get("data")
    reader = data.get("reader") if isinstance(data, DictConfig) else None
    if resuming or not isinstance(reader, DictConfig) or reader.get("name") != RENDERED:
        return []
    choice = choices.get("data")
    if choice not in (RENDERED, CHECKPOINT):
        return []  # the user's own data page names the reader
    if choice == CHECKPOINT:
        return ["data/reader=auto"] if sets_only_path(words) else []
    if any(_REQUEST.match(word) for word in words):
        return []
    return [OWN] if sets_only_path(words) or _page_sets_path_only() else []


def sets_only_path(words: Sequence[str]) -> bool:
    """Whether the overrides set `data.path` but no reader for it."""
    return any(map(_PATH.match, words)) and not any(map(_REQUEST.match, words))


def explain_rendering(problems: Sequence[str], words: Sequence[str]) -> list[str]:
    """Extend problems with shape settings beside a bare `data.path` by how to render shapes."""
    return [
        f"{problem}{RENDER_HINT}"
        if OWN in words and problem.startswith("data.reader.") and f"'{RENDERED}'" in problem
        else problem
        for problem in problems
    ]


def _page_sets_path_only() -> bool:
    """Whether a page of the user sets `data.path`, and none of the user's pages chooses shapes."""
    builtin = conf_folder().resolve()

    def by_user(path: str) -> list[str]:
        lines = current().origins.lines(path)
        return [text for origin, text in lines if not origin.file.resolve().is_relative_to(builtin)]

    choices = [*by_user("data"), *by_user("data.reader"), *by_user("data.reader.name")]
    return bool(by_user("data.path")) and RENDERED not in choices
