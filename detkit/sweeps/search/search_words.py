"""The overrides that a search was started with, kept in its folder. Needs no Optuna."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from hydra.core.override_parser.types import Quote, QuotedString

from detkit.config.overrides import listed_plugins
from detkit.config.plugins import require_loaded
from detkit.errors import UserError
from detkit.files import write_atomically

FILE = "search.json"


def keep_words(folder: Path, words: Sequence[str]) -> None:
    """Save the overrides of a search in its folder, for `detkit sweep resume`."""
    write_atomically(folder / FILE, json.dumps(list(words), indent=1, ensure_ascii=False))


def is_search(folder: Path) -> bool:
    """Whether a folder belongs to a search."""
    return (folder / FILE).is_file()


def words_to_resume(folder: Path) -> list[str] | None:
    """The overrides that resume or join the search of a folder; None if it holds no search.

    Raises:
        UserError: The record is damaged, or lists plugins that the user has not allowed.
    """
    if not is_search(folder):
        return None
    file = folder / FILE
    try:
        words = [str(word) for word in json.loads(file.read_text(encoding="utf-8"))]
    except (OSError, ValueError, TypeError) as error:
        raise UserError(f"{file}: is damaged, no record of a search: {error}.") from error
    require_loaded(listed_plugins(words), str(file))
    other_words = [word for word in words if word.partition("=")[0] != "hydra.sweep.dir"]
    quoted_folder = QuotedString(str(folder), Quote.single).with_quotes()
    return [*other_words, f"hydra.sweep.dir={quoted_folder}"]
