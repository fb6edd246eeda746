"""A trial of a search, independent of Optuna."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

Words = tuple[str, ...]


@dataclass(frozen=True)
class Trial:
    """One drawn configuration.

    Attributes:
        number: Its number in the study, from 0.
        words: Its drawn overrides.
        folder: The folder of its job; None before it has one.
        pruned: Whether the pruner has decided to stop it.
        value: Its metric once it has ended.
        state: `running`, `done`, `pruned` or `failed`.
        note: The reason for its failure.
    """

    number: int
    words: Words
    folder: Path | None = None
    pruned: bool = False
    value: float | None = None
    state: str = "running"
    note: str = ""
