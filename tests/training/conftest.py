"""Puts this folder, with `training_fakes`, on the path of the tests below it."""

import logging

import pytest


@pytest.fixture(autouse=True)
def _levels_as_before():
    """Undo what a trainer does to Lightning's log levels."""
    loggers = [logging.getLogger(n) for n in ("lightning.pytorch", "lightning.fabric", "lightning")]
    before = [logger.level for logger in loggers]
    yield
    for logger, level in zip(loggers, before, strict=True):
        logger.setLevel(level)
