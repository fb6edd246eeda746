"""From the command line's words to one checked, plain configuration."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import hydra
from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from detkit import registry
from detkit.config import pages, plugins, slots
from detkit.config.checks.conflicts import refuse_combinations
from detkit.config.checks.mistaken_paths import refuse_path_options
from detkit.config.checks.safety import refuse_composed, refuse_in_checkpoint
from detkit.config.checks.schema import check
from detkit.config.derived.data_path import explain_rendering, own_data_words
from detkit.config.derived.gradient_clipping import fill_clipping
from detkit.config.derived.home_directory import expand_home
from detkit.config.derived.image_size import KEY as IMAGE_SIZE
from detkit.config.derived.image_size import follow_image_size
from detkit.config.derived.pixel_statistics import fill_pixels
from detkit.config.derived.training_length import choose_limits
from detkit.config.hydra_errors import first_line, translated_errors
from detkit.config.includes import includes
from detkit.config.interpolations import references
from detkit.config.origins import origins
from detkit.config.overrides import (
    jobs,
    listed_plugins,
    prepared,
    split_flags,
    take_config_folder,
)
from detkit.config.part_overrides import hydra_words, without_nulls, without_replaced
from detkit.config.root import Benchmark, Train
from detkit.config.source import register_hydra_plugins
from detkit.errors import ConfigError

Config = dict[str, Any]
MULTIRUN = ("-m", "--multirun")
_EXCLUSIVE_FLAGS = (*MULTIRUN, "-r", "--run", "-c", "--cfg", "-i", "--info", "--hydra-help")


def compose(root: str, overrides: list[str], checkpoint: Config | None = None) -> Config:
    """Compose a root page with overrides, complete and check it.

    Args:
        root: The page, one of `slots.ROOTS`.
        overrides: The command line's words.
        checkpoint: A checkpoint's configuration, to be the option `checkpoint` of each group.

    Raises:
        ConfigError: With all problems that were found.
    """
    flags, settings = split_flags(overrides)
    if flags:
        raise ConfigError([f"'{flags[0]}' is a flag of `detkit train` only."])
    words = prepare(settings)
    if for_sweeps := [word for word in settings if re.match(r"[+~]*hydra[./](?!run\.dir)", word)]:
        raise ConfigError(
            [f"{word}: has no effect on one run; it is for detkit sweep." for word in for_sweeps]
        )
    if checkpoint is not None:
        refuse_in_checkpoint(checkpoint, "the checkpoint")
        pages.offer_checkpoint(checkpoint)
    with translated_errors():
        with set_up():
            composed, words = hydra_compose(root, words)
        return checked(root, composed, words)


def hydra_compose(root: str, prepared_words: list[str]) -> tuple[DictConfig, list[str]]:
    """Compose with Hydra, which must be set up; return the result and the words used.

    The words include `data=folder` if it applies.

    Args:
        root: The page, one of `slots.ROOTS`.
        prepared_words: The words of one job.

    Raises:
        ConfigError: A word removes a part that another word changes, or that a run needs.
    """
    words = prepared_words
    composed = _by_hydra(root, words)
    choices = composed.hydra.runtime.choices
    if added := own_data_words(composed, choices, words, resuming=root == "resume"):
        words = [*words, *added]
        composed = _by_hydra(root, words)
    HydraConfig.instance().set_config(composed)
    return composed, words


def _by_hydra(root: str, words: list[str]) -> DictConfig:
    overrides = hydra_words(words)
    includes.start(overrides)
    return hydra.compose(root, overrides, return_hydra_config=True)


def merge_order(
    root: str, overrides: list[str], checkpoint: Config | None = None
) -> list[tuple[str, str]]:
    """(config path, where it lands) of all that Hydra merges for a root, the strongest last."""
    words = prepare(split_flags(overrides)[1])
    if checkpoint is not None:
        pages.offer_checkpoint(checkpoint)
    with translated_errors(), set_up():
        words = hydra_compose(root, words)[1]
        origins.clear()  # the pages are read again below
        loader = GlobalHydra.instance().config_loader()
        overrides = hydra_words(words)
        includes.start(overrides)
        result = loader.compute_defaults_list(root, overrides, RunMode.RUN)
    return [(default.config_path or "", default.package or "") for default in result.defaults]


def checked(root: str, composed: DictConfig, overrides: list[str]) -> Config:
    """A composed configuration as a plain mapping, completed and checked.

    Raises:
        ConfigError: With all problems that were found.
    """
    unresolved: Any = OmegaConf.to_container(composed, resolve=False)
    refuse_composed(unresolved.get("hydra", {}))
    without_hydra = OmegaConf.masked_copy(
        composed, [str(key) for key in composed if key != "hydra"]
    )
    try:
        plain = OmegaConf.to_container(without_hydra, resolve=True)
    except OmegaConfBaseException as error:
        origin = origins.find(str(error.full_key), _written(without_hydra, str(error.full_key)))
        where = f" ({origin})" if origin else ""
        raise ConfigError([f"{error.full_key}: {first_line(error)}.{where}"]) from error
    content = {str(key): value for key, value in dict(plain).items()}  # type: ignore[arg-type]
    try:
        complete = check(slots.ROOTS[root], content, overrides, references(unresolved))
    except ConfigError as error:
        raise ConfigError(explain_rendering(error.problems, overrides)) from error
    expand_home(complete)
    follow_image_size(complete, overrides, pages.root_values.get(IMAGE_SIZE))
    if isinstance(complete.get("model"), dict):
        fill_pixels(complete["model"])
        fill_clipping(complete)
    if slots.ROOTS[root] in (Train, Benchmark):
        refuse_combinations(complete["trainer"])
        choose_limits(complete["trainer"], overrides, resuming=root == "resume")
    return complete


def _written(composed: DictConfig, path: str) -> Any:
    """The value at a config path with its interpolation."""
    node: Any = OmegaConf.to_container(composed, resolve=False)
    for key in path.split("."):
        node = node.get(key) if isinstance(node, dict) else None
    return node


def run(root: str, words: list[str], task: Callable[[DictConfig], Any]) -> None:
    """Hand a command to Hydra: a single job, `--multirun`, `--cfg`, `--info` or shell completion.

    Raises:
        ConfigError: The words cannot be composed, or a job's configuration is wrong.
    """
    flags, overrides = split_flags(words)
    exclusive = [flag for flag in flags if flag.partition("=")[0] in _EXCLUSIVE_FLAGS]
    if len(exclusive) > 1:
        hint = " `detkit plan` shows the jobs of a sweep." if set(exclusive) & {*MULTIRUN} else ""
        raise ConfigError([f"use only one of the flags {' and '.join(exclusive)}.{hint}"])
    if any(flag in ("-sc", "--shell-completion") for flag in flags):
        register_hydra_plugins()
        registry.load_plugins()
    else:
        overrides = prepare(overrides)
        if any(flag in MULTIRUN for flag in flags):
            # For jobs of launchers that compose them again in processes of theirs.
            os.environ.update(plugins.for_child(listed_plugins(overrides)))
            overrides = without_nulls(overrides)
        else:
            with translated_errors(), set_up():
                overrides = hydra_words(hydra_compose(root, overrides)[1])
    # Errors then come out of Hydra as exceptions, which the command line shows in its own way.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    before, sys.argv = sys.argv, [sys.argv[0], *flags, *overrides]
    try:
        with translated_errors():
            hydra.main(version_base="1.3", config_path=None, config_name=root)(task)()
    finally:
        sys.argv = before


@dataclass(frozen=True)
class Cell:
    """A job of a sweep that is not started yet.

    Attributes:
        words: What it sets of the swept keys; empty where there is one job.
        config: Its checked configuration, or None.
        problems: Why there is none.
    """

    words: list[str]
    config: Config | None
    problems: list[str]


def cells(root: str, prepared_words: list[str]) -> list[Cell]:
    """Compose and check each job of a sweep over listed values, those that are wrong too."""
    with set_up():
        return [_cell(root, words, prepared_words) for words in jobs(prepared_words)]


def _cell(root: str, words: list[str], prepared_words: list[str]) -> Cell:
    choices = [word.lstrip("+") for word in words if word not in prepared_words]
    try:
        return Cell(choices, compose_job(root, words), [])
    except ConfigError as error:
        return Cell(choices, None, error.problems)


def compose_job(root: str, prepared_words: list[str]) -> Config:
    """Compose and check one job while Hydra is set up, as it is where a sweeper runs.

    Raises:
        ConfigError: With all problems that were found.
    """
    with translated_errors():
        return checked(root, *hydra_compose(root, prepared_words))


def checked_job(root: str, composed: DictConfig, words: list[str]) -> Config:
    """The configuration of a job composed by one of Hydra's own launchers.

    Hydra does not replace named parts as a whole, and takes a bare `data.path` for a folder to
    render into, so a job with such words is composed again.

    Raises:
        ConfigError: With all problems that were found.
    """
    choices = HydraConfig.get().runtime.choices
    if hydra_words(words) == words and not own_data_words(composed, choices, words):
        return checked(root, composed, words)
    is_set_up = GlobalHydra.instance().is_initialized()
    with nullcontext() if is_set_up else set_up():
        return compose_job(root, words)


def prepare(words: list[str]) -> list[str]:
    """Load plugins and config sources; return overrides that Hydra passes on to our check.

    Raises:
        ConfigError: An override cannot be read, names a group that does not exist, or would run
            code.
    """
    words = take_config_folder(words)
    plugins.load(listed_plugins(words))
    register_hydra_plugins()
    origins.clear()
    pages.page_options.clear()
    pages.root_values.clear()
    refuse_path_options(words)
    ready = without_replaced(prepared(words))
    includes.start(ready)
    return ready


def set_up() -> hydra.initialize_config_module:
    """A context in which Hydra composes, from what `detkit.config.source` makes known to it.

    A module that holds no page is named, since Hydra would otherwise look through the source files
    of all modules that are imported for the one that calls it: 50 ms.
    """
    return hydra.initialize_config_module("detkit.config", job_name="detkit", version_base="1.3")
