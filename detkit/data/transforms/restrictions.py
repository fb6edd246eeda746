"""What some transforms cannot do; checked before any data are read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol, runtime_checkable

from detkit.errors import ConfigError
from detkit.interfaces import MixingTransform


@runtime_checkable
class ColourTransform(Protocol):
    """A transform that does not work with any number of channels."""

    def refused_channels(self, channels: int) -> str | None:
        """Why it cannot change images of so many channels, and what to do; None if it can."""


@runtime_checkable
class TrainingTransform(Protocol):
    """A transform for training images only.

    Attributes:
        only_for_training: Why, as a clause that follows the name of the transform.
    """

    only_for_training: str


def refuse_channels(transforms: Mapping[str, Mapping[str, Any]], channels: int) -> None:
    """Refuse transforms that need other channels.

    Args:
        transforms: By split and label.
        channels: Channels of the images.

    Raises:
        ConfigError: There are some.
    """
    problems = [
        f"augmentation.{split}.{label}: {problem}"
        for split, steps in transforms.items()
        for label, step in steps.items()
        if isinstance(step, ColourTransform) and (problem := step.refused_channels(channels))
    ]
    if problems:
        raise ConfigError(problems)


def refuse_in_evaluation(transforms: Mapping[str, Any], nodes: Mapping[str, Any]) -> None:
    """Refuse transforms that only training can use.

    Args:
        transforms: The transforms of evaluation, by label.
        nodes: Their configuration.

    Raises:
        ConfigError: There are some.
    """
    reasons = {label: _reason(step) for label, step in transforms.items()}
    problems = [
        f"augmentation.evaluation.{label}: '{nodes[label]['name']}' {reason}: move it to "
        "augmentation.train."
        for label, reason in reasons.items()
        if reason
    ]
    if problems:
        raise ConfigError(problems)


def _reason(step: Any) -> str:
    if isinstance(step, MixingTransform):
        return "mixes several images, which only training can use"
    return step.only_for_training if isinstance(step, TrainingTransform) else ""
