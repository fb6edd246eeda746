"""Read a data set ahead of the training that reports about it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without_messages() -> Iterator[None]:
    """Suppress messages of the readers; a training and `detkit data check` print them."""
    logger = logging.getLogger("detkit.data")
    before, logger.disabled = logger.disabled, True
    try:
        yield
    finally:
        logger.disabled = before
