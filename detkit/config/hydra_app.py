"""Run a command as a Hydra application: sweeps, and Hydra's own flags."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import Any

import hydra
from omegaconf import DictConfig

from detkit import registry
from detkit.config import plugins
from detkit.config.compose import hydra_compose, prepare
from detkit.config.composition import composing
from detkit.config.flags import split_flags
from detkit.config.hydra_errors import translated_errors
from detkit.config.hydra_session import hydra_session
from detkit.config.overrides import listed_plugins
from detkit.config.part_overrides import hydra_words, without_nulls
from detkit.config.source import register_hydra_plugins
from detkit.errors import ConfigError
from detkit.text import listed

MULTIRUN = ("-m", "--multirun")
_EXCLUSIVE_FLAGS = (*MULTIRUN, "-r", "--run", "-c", "--cfg", "-i", "--info", "--hydra-help")
_COMPLETION = ("-sc", "--shell-completion")


def run(root: str, words: list[str], task: Callable[[DictConfig], Any]) -> None:
    """Run a command as a Hydra application: `--multirun`, `--cfg`, `--info`, shell completion.

    Raises:
        ConfigError: The words cannot be composed, or a job's configuration is wrong.
    """
    flags, overrides = split_flags(words)
    exclusive = [flag for flag in flags if flag.partition("=")[0] in _EXCLUSIVE_FLAGS]
    if len(exclusive) > 1:
        hint = " `detkit plan` shows the jobs of a sweep." if set(exclusive) & {*MULTIRUN} else ""
        raise ConfigError([f"use only one of the flags {listed(exclusive)}.{hint}"])
    overrides = _for_hydra(root, flags, overrides)
    # Hydra then raises errors as exceptions, and the command line formats them.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    before, sys.argv = sys.argv, [sys.argv[0], *flags, *overrides]
    try:
        with composing() as composition, translated_errors():
            composition.includes.start(overrides)
            hydra.main(version_base="1.3", config_path=None, config_name=root)(task)()
    finally:
        sys.argv = before


def _for_hydra(root: str, flags: list[str], overrides: list[str]) -> list[str]:
    """The overrides that the Hydra application gets."""
    if any(flag in _COMPLETION for flag in flags):
        register_hydra_plugins()
        registry.load_plugins()
        return overrides
    overrides = prepare(overrides)
    if any(flag in MULTIRUN for flag in flags):
        # Some launchers compose their jobs again in processes of their own.
        os.environ.update(plugins.for_child(listed_plugins(overrides)))
        return without_nulls(overrides)
    with composing(), translated_errors(), hydra_session():
        return hydra_words(hydra_compose(root, overrides)[1])
