"""Parts that change over the course of a training."""

from __future__ import annotations

from typing import Protocol, runtime_checkable


@runtime_checkable
class FollowsTraining(Protocol):
    """A module whose losses depend on how much of the training is done.

    Training calls `set_progress` before each batch. A loop of your own has to call it too.
    """

    def set_progress(self, share: float) -> None:
        """Take the share of the training's optimizer steps that are done, in 0..1."""
        ...
