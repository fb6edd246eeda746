"""Compare the configurations and environments of two runs."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from detkit.config.difference import Difference, differences

# Names, places, times and commands, which never change a result.
_APART_IN_CONFIG = ("run_folder", "run_name", "ckpt")
_APART_IN_ENVIRONMENT = ("started", "command", "resumed")


@dataclass(frozen=True)
class RunRecord:
    """The configuration and environment of a run.

    Attributes:
        config: Its whole configuration.
        environment: The record of its environment, or the part of it that a checkpoint contains.
    """

    config: Mapping[str, Any]
    environment: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Comparison:
    """The differences between two runs.

    Attributes:
        configuration: Settings that can change a result.
        environment: Versions, data, code and devices.
        apart: Names, folders, times and commands, which never change a result.
    """

    configuration: list[Difference]
    environment: list[Difference]
    apart: list[Difference]

    def __bool__(self) -> bool:
        """Whether anything differs that could change a result."""
        return bool(self.configuration or self.environment)


def compare(before: RunRecord, after: RunRecord) -> Comparison:
    """Compare two runs; entries of the environment only if both runs have them."""
    configuration = differences(before.config, after.config)
    shared = before.environment.keys() & after.environment.keys() - {"seed"}  # the config has it
    environment = differences(_only(before.environment, shared), _only(after.environment, shared))
    return Comparison(
        [difference for difference in configuration if _top(difference) not in _APART_IN_CONFIG],
        [difference for difference in environment if _top(difference) not in _APART_IN_ENVIRONMENT],
        [difference for difference in configuration if _top(difference) in _APART_IN_CONFIG]
        + [
            difference
            for difference in environment
            if _top(difference) in _APART_IN_ENVIRONMENT[:2]
        ],
    )


def _only(values: Mapping[str, Any], keys: Collection[str]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if key in keys}


def _top(difference: Difference) -> str:
    return difference.path.partition(".")[0]
