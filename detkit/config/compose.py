"""Compose overrides and pages to one checked, plain configuration."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from detkit.config import pages, plugins, slots
from detkit.config.checks.conflicts import refuse_combinations
from detkit.config.checks.mistaken_paths import refuse_path_options
from detkit.config.checks.safety import refuse_composed, refuse_in_checkpoint
from detkit.config.checks.schema import check
from detkit.config.composition import Composition, composing, current
from detkit.config.derived.data_path import data_folder_overrides, explain_rendering
from detkit.config.derived.gradient_clipping import fill_clipping
from detkit.config.derived.home_directory import expand_home
from detkit.config.derived.image_size import KEY as IMAGE_SIZE
from detkit.config.derived.image_size import follow_image_size
from detkit.config.derived.pixel_statistics import fill_pixels
from detkit.config.derived.published_weights import resolve_weights
from detkit.config.derived.training_length import choose_limits
from detkit.config.flags import split_flags, take_config_folder
from detkit.config.hydra_errors import first_line, translated_errors
from detkit.config.hydra_session import hydra_session
from detkit.config.interpolations import references
from detkit.config.overrides import listed_plugins, prepared
from detkit.config.part_overrides import hydra_words, without_replaced
from detkit.config.root import Benchmark, Train
from detkit.config.source import register_hydra_plugins
from detkit.errors import ConfigError

Config = dict[str, Any]


@dataclass(frozen=True)
class Composed:
    """A checked configuration and its composition.

    Attributes:
        config: The complete configuration.
        overrides: The overrides, as they came.
        composition: Where each value was written.
    """

    config: Config
    overrides: list[str]
    composition: Composition


def compose(root: str, overrides: list[str], checkpoint: Config | None = None) -> Config:
    """Compose a root page with overrides, complete and check it.

    See `compose_with_origins`.
    """
    return compose_with_origins(root, overrides, checkpoint).config


def compose_with_origins(
    root: str, overrides: list[str], checkpoint: Config | None = None
) -> Composed:
    """Compose a root page with overrides, complete and check it, and keep where values come from.

    Compositions do not affect each other: one may run inside another or in another thread.

    Args:
        root: The page, one of `slots.ROOTS`.
        overrides: The overrides, as the command line takes them.
        checkpoint: A checkpoint's configuration; becomes the option `checkpoint` of each group.

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
    with composing() as composition, translated_errors():
        if checkpoint is not None:
            pages.offer_checkpoint(checkpoint)
        with hydra_session():
            composed, words = hydra_compose(root, words)
            return Composed(checked(root, composed, words), overrides, composition)


def hydra_compose(root: str, prepared_words: list[str]) -> tuple[DictConfig, list[str]]:
    """Compose with Hydra inside a `hydra_session`; return the result and the overrides used.

    These include `data=folder` if a path to the user's own images requires it.

    Args:
        root: The page, one of `slots.ROOTS`.
        prepared_words: The overrides of one job, from `prepare`.

    Raises:
        ConfigError: An override removes a part that another changes, or that a run needs.
    """
    words = prepared_words
    composed = _by_hydra(root, words)
    choices = composed.hydra.runtime.choices
    if added := data_folder_overrides(composed, choices, words, resuming=root == "resume"):
        words = [*words, *added]
        composed = _by_hydra(root, words)
    HydraConfig.instance().set_config(composed)
    return composed, words


def _by_hydra(root: str, words: list[str]) -> DictConfig:
    overrides = hydra_words(words)
    current().includes.start(overrides)
    return hydra.compose(root, overrides, return_hydra_config=True)


def checked(root: str, composed: DictConfig, overrides: list[str]) -> Config:
    """Complete and check a composed configuration; returns a plain mapping.

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
        key = str(error.full_key)
        origin = current().origins.find(key, _written(without_hydra, key))
        where = f" ({origin})" if origin else ""
        raise ConfigError([f"{error.full_key}: {first_line(error)}.{where}"]) from error
    content = {str(key): value for key, value in dict(plain).items()}  # type: ignore[arg-type]
    try:
        complete = check(slots.ROOTS[root], content, overrides, references(unresolved))
    except ConfigError as error:
        raise ConfigError(explain_rendering(error.problems, overrides)) from error
    expand_home(complete)
    follow_image_size(complete, overrides, current().root_values.get(IMAGE_SIZE))
    if isinstance(complete.get("model"), dict):
        fill_pixels(complete["model"], (complete.get("data") or {}).get("channels"))
        fill_clipping(complete)
    if slots.ROOTS[root] in (Train, Benchmark):
        resolve_weights(complete, _page_of_model(composed))
        refuse_combinations(complete["trainer"], complete.get("model"), complete["freeze"])
        choose_limits(complete["trainer"], overrides, resuming=root == "resume")
    return complete


def _page_of_model(composed: DictConfig) -> str | None:
    page = OmegaConf.select(composed, "hydra.runtime.choices.model")
    return None if page is None else str(page)


def _written(composed: DictConfig, path: str) -> Any:
    """The value at a config path with its interpolation."""
    node: Any = OmegaConf.to_container(composed, resolve=False)
    for key in path.split("."):
        node = node.get(key) if isinstance(node, dict) else None
    return node


def prepare(words: list[str]) -> list[str]:
    """Load plugins and config sources; return overrides that keep wrong keys for detkit's check.

    Raises:
        ConfigError: An override cannot be read, names a group that does not exist, or would run
            code.
    """
    words = take_config_folder(words)
    plugins.load(listed_plugins(words))
    register_hydra_plugins()
    refuse_path_options(words)
    return without_replaced(prepared(words))
