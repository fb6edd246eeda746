"""Hydra's flags: those that detkit passes on, and `--config-dir`, which it handles itself."""

from __future__ import annotations

import itertools
import os

from detkit.config.folders import USER_FOLDER_VARIABLE
from detkit.errors import ConfigError, did_you_mean

# Hydra's flags that detkit passes on. The other ones choose folders and pages that detkit would not
# know about, or read a pickle (--experimental-rerun).
FLAGS = (
    *("-m", "--multirun", "-r", "--run", "-c", "--cfg", "-i", "--info", "-p", "--package"),
    *("--resolve", "-sc", "--shell-completion", "--hydra-help"),
)
_FOLDER_FLAGS = ("--config-dir", "-cd")
_REPLACED_FLAGS = {
    "--config-name": "detkit has one root page: save yours as conf/experiment/NAME.yaml, with "
    "'# @package _global_' as its first line, and choose it with experiment=NAME",
    "--config-path": "use --config-dir FOLDER: its pages take precedence over detkit's",
}
_SHORT_FLAGS = {"-cn": "--config-name", "-cp": "--config-path"}
TAKING_A_WORD = ("-c", "--cfg", "-i", "--info", "-p", "--package")


def split_flags(words: list[str]) -> tuple[list[str], list[str]]:
    """Separate Hydra's flags, with their values, from all other words.

    Raises:
        ConfigError: detkit does not pass a flag on.
    """
    flags: list[str] = []
    remaining: list[str] = []
    following = iter(words)
    for word in following:
        name = word.partition("=")[0]
        if not word.startswith("-") or name in _FOLDER_FLAGS:
            remaining.append(word)
            if word in _FOLDER_FLAGS:
                remaining.append(next(following, ""))
            continue
        if instead := _REPLACED_FLAGS.get(_SHORT_FLAGS.get(name, name)):
            raise ConfigError([f"{name}: {instead}."])
        if name not in FLAGS:
            long_flags = [flag for flag in FLAGS if flag.startswith("--")] + ["--config-dir"]
            raise ConfigError([f"there is no flag '{word}'.{did_you_mean(name, long_flags)}"])
        flags.append(word)
        if word in TAKING_A_WORD or name in ("-sc", "--shell-completion"):
            flags += list(itertools.islice(following, 0 if "=" in word else 1))
    return flags, remaining


def take_config_folder(words: list[str]) -> list[str]:
    """Handle `--config-dir FOLDER`, because Hydra would search it after detkit's pages, not before.

    Raises:
        ConfigError: There is no such folder.
    """
    remaining: list[str] = []
    following = iter(words)
    for word in following:
        name, _, value = word.partition("=")
        if name not in _FOLDER_FLAGS:
            remaining.append(word)
            continue
        folder = value or next(following, "")
        if not os.path.isdir(folder):
            raise ConfigError([f"{name}: there is no folder '{folder}'."])
        os.environ[USER_FOLDER_VARIABLE] = os.path.abspath(folder)
    return remaining
