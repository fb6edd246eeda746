"""One side of `detkit config diff`: a run, a page, or the overrides of a training."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path
from typing import Any

from detkit.api.training_config import new_training
from detkit.config.folders import page_folders
from detkit.config.page_list import page_groups, pages_of
from detkit.errors import ConfigError, UserError, did_you_mean
from detkit.runs.layout import CONFIG
from detkit.runs.run_comparison import RunRecord
from detkit.runs.run_record import read_run

_MISSING = re.compile(r"([\w.]+): a value is missing")


def read_side(text: str) -> RunRecord:
    """Read the configuration of a run, a page, or overrides such as `experiment=demo`.

    Raises:
        UserError: The text names nothing or several pages, or cannot be composed.
    """
    path = Path(text).expanduser()
    if path.exists() and "=" not in text:
        page = _page_of(path)
        return read_run(text) if page is None else _composed([page])
    words = shlex.split(text)
    if words and all("=" in word for word in words):
        return _composed(words)
    return _composed([_choice(text)])


def _page_of(file: Path) -> str | None:
    """`group=NAME` for the file of a page, or None for any other file."""
    for folder in page_folders():
        if file.is_file() and file.resolve().is_relative_to(folder):
            group = file.resolve().relative_to(folder).parent.as_posix()
            return f"{group}={file.stem}" if group != "." else None
    return None


def _choice(name: str) -> str:
    """`group=NAME` for the name of a page, which may begin with its group.

    Raises:
        UserError: No page or several pages have this name.
    """
    group, _, stem = name.rpartition("/")
    groups = [group] if group else page_groups()
    matching_groups = [g for g in groups if any(page.name == stem for page in pages_of(g))]
    if len(matching_groups) == 1:
        return f"{matching_groups[0]}={stem}"
    if matching_groups:
        choices = ", ".join(f"{group}={stem}" for group in matching_groups)
        raise UserError(f"several pages have the name '{name}': write one of {choices}.")
    page_names = [page.name for g in page_groups() for page in pages_of(g)]
    raise UserError(
        f"'{name}' is not a run, checkpoint, {CONFIG} or page.{did_you_mean(stem, page_names)} "
        "`detkit list` shows all pages; overrides have the form KEY=VALUE."
    )


def _composed(words: list[str]) -> RunRecord:
    """The composed configuration; missing values that only the user knows become FOLDER."""
    try:
        return RunRecord(_training(words))
    except ConfigError as error:
        missing = [_MISSING.match(problem) for problem in error.problems]
        if not all(missing):
            raise
    return RunRecord(_training([*words, *(f"{m[1]}=FOLDER" for m in missing if m)]))


def _training(words: list[str]) -> dict[str, Any]:
    training = new_training(words)
    for line in training.notes:
        print(line, file=sys.stderr)
    return training.config
