"""Two finished runs side by side: what differs in configuration and surroundings."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from detkit.config.difference import Difference, differences

# What says where a run lies, when and how it was asked for, not what it does.
_APART_IN_CONFIG = ("run_folder", "run_name", "ckpt")
_APART_IN_ENVIRONMENT = ("started", "command", "resumed")


@dataclass(frozen=True)
class RunRecord:
    """What is known of a run.

    Attributes:
        config: Its whole configuration.
        environment: What `environment.json` holds, or as much of it as a checkpoint knows.
    """

    config: Mapping[str, Any]
    environment: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Comparison:
    """What differs between two runs.

    Attributes:
        configuration: In what they were asked to do.
        environment: In what that depended on: versions, seed, data, code, devices.
        apart: In what never changes a result: names, folders, times, commands.
    """

    configuration: list[Difference]
    environment: list[Difference]
    apart: list[Difference]

    def __bool__(self) -> bool:
        """Whether anything differs that could change a result."""
        return bool(self.configuration or self.environment)


def compare(before: RunRecord, after: RunRecord) -> Comparison:
    """What differs between two runs; of their surroundings, what is known of both."""
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
