"""From the command line's words to one checked, plain configuration."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException, MissingConfigException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from detkit import registry
from detkit.config import pages
from detkit.config.check import check
from detkit.config.origins import origins
from detkit.config.source import (
    RUNS_CODE,
    USER_FOLDER_VARIABLE,
    page_folders,
    register_hydra_plugins,
)
from detkit.errors import ConfigError, did_you_mean

Config = dict[str, Any]


def compose(root: str, overrides: list[str], checkpoint: Config | None = None) -> Config:
    """Compose a root page with overrides, complete and check it.

    Args:
        root: The page, one of `pages.ROOTS`.
        overrides: The command line's words.
        checkpoint: A checkpoint's configuration, to be the option `checkpoint` of each group.

    Raises:
        ConfigError: With all problems that were found.
    """
    words = prepare(overrides)
    if checkpoint is not None:
        pages.offer_checkpoint(checkpoint)
    with _translated_errors():
        with hydra.initialize(version_base="1.3", config_path=None):
            composed = hydra.compose(root, words, return_hydra_config=True)
        HydraConfig.instance().set_config(composed)
        return checked(root, composed, words)


def checked(root: str, composed: DictConfig, overrides: list[str]) -> Config:
    """A composed configuration as a plain mapping, completed and checked.

    Raises:
        ConfigError: With all problems that were found.
    """
    own = OmegaConf.masked_copy(composed, [str(key) for key in composed if key != "hydra"])
    try:
        plain = OmegaConf.to_container(own, resolve=True)
    except OmegaConfBaseException as error:
        raise ConfigError([f"{error.full_key}: {_first_line(error)}"]) from error
    content = {str(key): value for key, value in dict(plain).items()}  # type: ignore[arg-type]
    return check(pages.ROOTS[root], content, overrides)


def run(root: str, words: list[str], task: Callable[[DictConfig], Any]) -> None:
    """Hand a command to Hydra: a single job, `--multirun`, `--cfg`, `--info` or shell completion.

    Raises:
        ConfigError: The words cannot be composed.
    """
    flags = [word for word in words if word.startswith("-") and "=" not in word]
    values = _flag_values(words)
    overrides = [word for word in words if word not in flags and word not in values]
    if any(flag in ("-sc", "--shell-completion") for flag in flags):
        register_hydra_plugins()
        registry.load_plugins()
    else:
        overrides = prepare(overrides)
    # Errors then come out of Hydra as exceptions, which the command line shows in its own way.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    before, sys.argv = sys.argv, [sys.argv[0], *_in_order(words, flags, values), *overrides]
    try:
        with _translated_errors():
            hydra.main(version_base="1.3", config_path=None, config_name=root)(task)()
    finally:
        sys.argv = before


def _flag_values(words: list[str]) -> list[str]:
    """Words that belong to the flag before them (`--cfg job`)."""
    taking = ("--cfg", "-c", "--info", "-i", "--package", "-p")
    return [after for word, after in pairwise(words) if word in taking]


def _in_order(words: list[str], flags: list[str], values: list[str]) -> list[str]:
    return [word for word in words if word in flags or word in values]


def prepare(words: list[str]) -> list[str]:
    """Load plugins and config sources; return overrides that Hydra passes on to our check.

    Raises:
        ConfigError: An override cannot be read, names a group that does not exist, or would run
            code.
    """
    words = _take_config_folder(words)
    listed = _listed_plugins(words)
    registry.load_plugins(listed)
    register_hydra_plugins()
    origins.clear()
    pages.page_options.clear()
    pages.root_values.clear()
    problems: list[str] = []
    prepared = [_prepared(word, problems) for word in words]
    if problems:
        raise ConfigError(problems)
    return prepared


def _take_config_folder(words: list[str]) -> list[str]:
    """Take `--config-dir FOLDER` out: Hydra would search it after our pages, not before."""
    rest: list[str] = []
    following = iter(words)
    for word in following:
        name, _, value = word.partition("=")
        if name != "--config-dir":
            rest.append(word)
            continue
        folder = value or next(following, "")
        if not os.path.isdir(folder):
            raise ConfigError([f"--config-dir: there is no folder '{folder}'."])
        os.environ[USER_FOLDER_VARIABLE] = os.path.abspath(folder)
    return rest


def _parse(word: str) -> Override:
    try:
        return OverridesParser.create().parse_override(word)
    except HydraException as error:
        hint = "write KEY=VALUE, and quote what holds spaces, commas or brackets"
        raise ConfigError([f"cannot read '{word}': {_first_line(error)}; {hint}."]) from error


def _listed_plugins(words: list[str]) -> list[str]:
    for word in words:
        if re.match(r"\+{0,2}plugins=", word):
            value = _parse(word).value()
            named = value if isinstance(value, list) else [value]
            return [str(name) for name in named]
    return []


def _prepared(word: str, problems: list[str]) -> str:
    override = _parse(word)
    key = override.key_or_group
    if any(code in word for code in RUNS_CODE):
        problems.append(
            f"{word}: is refused: a configuration builds registered parts by `name`, nothing else."
        )
    elif "/" in key and not key.startswith("hydra/") and not _is_group(key):
        problems.append(f"{word}: there is no group '{key}'.{_nearest_group(key)}")
    elif not (_is_group(key) or key.startswith("hydra") or word[0] in "+~"):
        return f"++{word}"  # so that a wrong key reaches the check, which names all of them
    return word


def _is_group(key: str) -> bool:
    path = tuple(key.split("/"))
    if pages.slot_at(path) is not None:
        return True
    return any((folder / key).is_dir() for folder in page_folders())


def _nearest_group(key: str) -> str:
    path = key.split("/")
    slot = pages.slot_at(tuple(path[:-1]))
    known = registry.slot_names(slot.family) if slot else list(pages.root_arguments())
    match = did_you_mean(path[-1] if slot else path[0], known)
    return f"{match} Groups there: {', '.join(known)}."


@contextmanager
def _translated_errors() -> Iterator[None]:
    """Hydra's composition errors as ConfigError; all others pass."""
    try:
        yield
    except MissingConfigException as error:
        raise ConfigError([_missing_option(error)]) from error
    except RecursionError as error:
        message = (
            "a page includes itself through its defaults: follow the defaults lists of the pages"
        )
        raise ConfigError([message]) from error
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigError([_first_line(error)]) from error


def _missing_option(error: MissingConfigException) -> str:
    group, _, name = (error.missing_cfg_file or "").rpartition("/")
    options = [option for option in error.options or [] if "--" not in option]
    if not group:
        return _first_line(error)
    slot = pages.slot_at(tuple(group.split("/")))
    if slot is not None and not set(options) - set(registry.names(slot.family)):
        return f"{group}: {registry.unknown_part(slot.family, name)}"
    known = sorted({*options, *(registry.names(slot.family) if slot else [])})
    message = f"{group}: there is no '{name}'.{did_you_mean(name, known)} "
    return f"{message}Known: {', '.join(known)}.{registry.failed_plugins()}"


def _first_line(error: BaseException) -> str:
    """What an error of Hydra says, with its cause, on one line."""
    text = " ".join(str(error).split())
    cause = error.__cause__
    return f"{text} ({' '.join(str(cause).split())})" if cause and str(cause) not in text else text
