"""`data.path=FOLDER` means the user's own images; only `data=shapes` renders into a folder.

`data=shapes` is the default of a training, so that `detkit train` alone does something. A path that
the command line or a page sets would otherwise fill the user's folder with rendered shapes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from omegaconf import DictConfig

from detkit.config.folders import conf_folder
from detkit.config.origins import origins
from detkit.config.pages import CHECKPOINT

RENDERED = "shapes"
OWN = "data=folder"
_REQUEST = re.compile(r"\+{0,2}data(/reader|\.reader(\.name)?)?=(?!checkpoint)")
_PATH = re.compile(r"\+{0,2}data\.path=")
RENDER_HINT = (
    " data.path alone means your own images (data=folder); data=shapes data.path=FOLDER renders "
    "the embedded data set into FOLDER."
)


def own_data_words(
    composed: DictConfig, choices: Mapping[str, Any], words: Sequence[str], resuming: bool = False
) -> list[str]:
    """The word that reads the user's own images, where the composed data would be rendered.

    Args:
        composed: What Hydra composed from the words.
        choices: The option of each group, as Hydra lists them.
        words: The command line's words.
        resuming: The run being resumed keeps its reader; a new path means that its data moved.

    Returns:
        `data=folder`, the reader alone for the data of a run, or nothing where shapes are
        requested or no path is set.
    """
    data = composed.get("data")
    reader = data.get("reader") if isinstance(data, DictConfig) else None
    if resuming or not isinstance(reader, DictConfig) or reader.get("name") != RENDERED:
        return []
    choice = choices.get("data")
    if choice not in (RENDERED, CHECKPOINT):
        return []  # a page of the user's data, which names the reader
    if choice == CHECKPOINT:
        return ["data/reader=auto"] if reads_own_path(words) else []
    if any(_REQUEST.match(word) for word in words):
        return []
    return [OWN] if reads_own_path(words) or _page_sets_path_only() else []


def reads_own_path(words: Sequence[str]) -> bool:
    """Whether the words set `data.path` and do not say how to read it."""
    return any(map(_PATH.match, words)) and not any(map(_REQUEST.match, words))


def explain_rendering(problems: Sequence[str], words: Sequence[str]) -> list[str]:
    """The problems; a setting of rendered shapes beside a bare `data.path` says how to render."""
    return [
        f"{problem}{RENDER_HINT}"
        if OWN in words and problem.startswith("data.reader.") and f"'{RENDERED}'" in problem
        else problem
        for problem in problems
    ]


def _page_sets_path_only() -> bool:
    """Whether a page of the user sets `data.path`, and none of the user's pages chooses shapes."""
    own = conf_folder().resolve()

    def by_user(path: str) -> list[str]:
        lines = origins.lines(path)
        return [text for place, text in lines if not place.file.resolve().is_relative_to(own)]

    chosen = [*by_user("data"), *by_user("data.reader"), *by_user("data.reader.name")]
    return bool(by_user("data.path")) and RENDERED not in chosen
