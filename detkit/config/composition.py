"""The state of one composition, which Hydra's config sources read while they serve pages.

Hydra creates the sources itself, so they cannot be handed an object. A context variable points them
to the composition that runs in their thread; compositions in other threads, and a composition
inside another one, have a state of their own.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from detkit.config.includes import Includes
from detkit.config.origins import Origins


class Composition:
    """The contents, choices and includes of all pages in one composition.

    Attributes:
        origins: File and line of each value.
        includes: Which page includes or overrides which.
        page_options: Options made from pages: config path -> (the part's mapping, tag of the page).
        root_values: Values of the root that come from a checkpoint.
        is_fallback: Whether nobody started it; see `current`.
    """

    def __init__(self, *, is_fallback: bool = False) -> None:
        self.is_fallback = is_fallback
        self.origins = Origins()
        self.includes = Includes()
        self.page_options: dict[str, tuple[dict[str, Any], str]] = {}
        self.root_values: dict[str, Any] = {}


_current: ContextVar[Composition | None] = ContextVar("composition", default=None)


def current() -> Composition:
    """The composition of this thread.

    Without one, a new composition becomes the thread's: some Hydra launchers compose in a process
    that they start themselves.
    """
    composition = _current.get()
    if composition is None:
        composition = Composition(is_fallback=True)
        _current.set(composition)
    return composition


def is_composing() -> bool:
    """Whether detkit composes in this thread, and not another program that uses Hydra."""
    composition = _current.get()
    return composition is not None and not composition.is_fallback


@contextmanager
def composing(composition: Composition | None = None) -> Iterator[Composition]:
    """Make a composition the current one, and restore the previous one at the end.

    Args:
        composition: One to continue, to read the origins of its values; a new one by default.
    """
    state = Composition() if composition is None else composition
    token = _current.set(state)
    try:
        yield state
    finally:
        _current.reset(token)
