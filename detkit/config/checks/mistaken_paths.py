"""Refuse a path where the name of a page is expected, as in `data=photos` or `model=best.pt`."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from detkit import registry
from detkit.config import slots
from detkit.config.folders import page_folders
from detkit.config.pages import CHECKPOINT
from detkit.errors import ConfigError

_CHOICE = re.compile(r"\+{0,2}(data|model|experiment|augmentation|callbacks|debug|sweep)=(.+)")
_SUFFIXES = (".yaml", ".yml", ".json", ".pt", ".pth", ".ckpt", ".safetensors", ".onnx", ".zip")


def refuse_path_options(words: Sequence[str]) -> None:
    """Refuse a path as the choice of a group, and name the key that takes it.

    Raises:
        ConfigError: One message per word.
    """
    problems = [problem for word in words for problem in _problems(word)]
    if problems:
        raise ConfigError(problems)


def _problems(word: str) -> Iterator[str]:
    match = _CHOICE.fullmatch(word)
    if match is None:
        return
    group = match[1]
    for text in match[2].split(","):
        value = text.strip("'\" ")
        if _is_path(value) and not _is_option(group, value):
            message = f"{group}={value}: {group} takes the name of a page, not a path."
            yield f"{message} {_hint(group, value)}"


def _is_path(value: str) -> bool:
    if not value or any(mark in value for mark in "{}[]()$"):
        return False
    return "/" in value or "\\" in value or value.endswith(_SUFFIXES) or Path(value).exists()


def _is_option(group: str, value: str) -> bool:
    name = value.removesuffix(".yaml")
    slot = slots.slot_at((group,))
    names = registry.names(slot.family) if slot is not None else []
    pages_there = any((folder / group / f"{name}.yaml").is_file() for folder in page_folders())
    return value in (*names, CHECKPOINT) or (pages_there and value == name)


def _hint(group: str, value: str) -> str:
    path = Path(value)
    if group == "data":
        folder = path.parent if path.suffix in _SUFFIXES else path
        return f"Your own images: data.path={folder}"
    if group == "model" and path.suffix not in (".yaml", ".yml"):
        return (
            f"To start from weights: weights={value}; to resume a run: ckpt=RUN. `detkit list "
            "models` lists the pages."
        )
    return (
        f"Save your page as conf/{group}/{path.stem}.yaml in the folder where you start detkit, "
        f"or in the folder of --config-dir, and write {group}={path.stem}."
    )
