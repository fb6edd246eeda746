"""Schedules that react to the numbers of a validation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

from detkit.interfaces import Schedule

STATE = "schedule"  # key in a checkpoint


@runtime_checkable
class MetricSchedule(Schedule, Protocol):
    """A schedule whose factors also depend on the metrics of the validations so far.

    All ranks pass the same metrics. The state holds plain values and is part of the checkpoint.
    """

    def after_validation(self, metrics: Mapping[str, float]) -> None:
        """React to the numbers of a validation."""

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run continues with."""
        ...

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue where `state_dict` was taken."""
