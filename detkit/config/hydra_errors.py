"""Translate Hydra's composition errors into messages of detkit."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from hydra.errors import HydraException, MissingConfigException
from omegaconf.errors import OmegaConfBaseException

from detkit import registry
from detkit.config import slots
from detkit.config.composition import current
from detkit.config.overrides import options
from detkit.errors import ConfigError, did_you_mean


@contextmanager
def translated_errors() -> Iterator[None]:
    """Raise Hydra's composition errors as ConfigError; let all others pass."""
    try:
        yield
    except MissingConfigException as error:
        raise ConfigError([_missing_option(error)]) from error
    except RecursionError as error:
        cycle = current().includes.cycle()
        if cycle is None:
            raise
        message = f"pages include each other in a cycle: {cycle}: remove one of these defaults."
        raise ConfigError([message]) from error
    except (HydraException, OmegaConfBaseException) as error:
        raise ConfigError([first_line(error)]) from error


def _missing_option(error: MissingConfigException) -> str:
    group, _, name = (error.missing_cfg_file or "").rpartition("/")
    if not group:
        return first_line(error)
    slot = slots.slot_at(tuple(group.split("/")))
    names = options(group) or sorted(error.options or [])
    if slot is not None and not set(names) - set(registry.names(slot.family)):
        return f"{group}: {registry.unknown_part(slot.family, name)}"
    message = f"{group}: there is no '{name}'.{did_you_mean(name, names)} "
    hint = f" Your own images: data.path={name}" if group == "data" else ""
    return f"{message}Known: {', '.join(names)}.{hint}{registry.failed_plugins()}"


def first_line(error: BaseException) -> str:
    """The message of a Hydra error and of its cause, on one line."""
    text, cause = _one_line(error), error.__cause__
    if missing := re.search(r"Could not delete from config. '([\w.-]+)' does not exist", text):
        return f"~{missing[1]}: there is no such key to remove."
    group = re.search(r"Could not override '([\w/]+)'", text)
    if group and "/" in group[1] and slots.slot_at(tuple(group[1].split("/"))) is not None:
        owner, _, slot = group[1].rpartition("/")
        return f"{group[1]}: the chosen {owner} takes no {slot}; choose one that does."
    if deleted := re.search(r"Could not delete '([\w/]+)'. No match", text):
        return f"{deleted[1]}: this command has no {deleted[1]} to remove."
    if group:
        return f"{text}{did_you_mean(group[1], slots.root_arguments())}"
    return f"{text} ({_one_line(cause)})" if cause and _one_line(cause) not in text else text


def _one_line(error: BaseException) -> str:
    text = re.sub(r"\s*(full_key|object_type)[:=][^\n]*", "", str(error))
    return " ".join(text.split()).replace("KeyError raised while resolving interpolation: ", "")
