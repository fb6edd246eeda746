"""Settings of the calling program that a training changes, and restores at its end."""

from __future__ import annotations

import contextlib
import importlib
import logging
import os
import sys
import warnings
from collections.abc import Iterator

from detkit.runs.log_file import log_to

_LIGHTNING = ("lightning", "lightning.fabric", "lightning.pytorch")
_SEED_VARIABLES = ("PL_GLOBAL_SEED", "PL_SEED_WORKERS")  # other trainings would read them


@contextlib.contextmanager
def messages_on_terminal() -> Iterator[None]:
    """Show detkit's messages; at the end, restore the program's own settings of the logger."""
    logger = logging.getLogger("detkit")
    handlers, level = list(logger.handlers), logger.level
    consoles = [handler for handler in logging.getLogger().handlers if _is_console(handler)]
    log_to(None)
    for console in consoles:
        console.addFilter(_is_of_another_package)  # or each message would appear twice
    try:
        yield
    finally:
        for console in consoles:
            console.removeFilter(_is_of_another_package)
        for handler in logger.handlers:
            handler.close()  # also the log file of the run
        logger.handlers[:] = handlers
        logger.setLevel(level)


def _is_console(handler: logging.Handler) -> bool:
    return getattr(handler, "stream", None) in (sys.stdout, sys.stderr)


def _is_of_another_package(record: logging.LogRecord) -> bool:
    return record.name.split(".")[0] != "detkit"


@contextlib.contextmanager
def settings_restored() -> Iterator[None]:
    """Restore what a training silences or sets for itself, for other trainings of the program."""
    importlib.import_module("lightning.pytorch")  # which sets the levels that are restored
    loggers = [logging.getLogger(name) for name in _LIGHTNING]
    levels = [logger.level for logger in loggers]
    environment = {name: os.environ.get(name) for name in _SEED_VARIABLES}
    try:
        with warnings.catch_warnings():
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
        for name, value in environment.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
