"""The amount of work of a training: epochs, batches, validations."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from detkit.text import counted, duration


@dataclass(frozen=True)
class Extent:
    """The work of a training.

    Attributes:
        epochs: Passes over the training images, the last one possibly partial; None if minutes
            end the training.
        minutes: Limit in minutes; None for no such limit.
        batches: Batches of an epoch on each device.
        batch_size: Images of a batch on each device.
        validate_every: Epochs between validations; the last epoch is always validated.
        validation_images: Images of each validation.
    """

    epochs: float | None
    minutes: float | None
    batches: int
    batch_size: int
    validate_every: int
    validation_images: int

    def time(self, image: float, validation_image: float) -> ExtentTime:
        """Estimate its time.

        Args:
            image: Seconds to train on an image on one device.
            validation_image: Seconds to validate an image.
        """
        epoch = self.batches * self.batch_size * image
        validation = self.validation_images * validation_image
        epochs = math.inf if self.epochs is None else self.epochs
        if self.minutes is not None:
            seconds = epoch + validation / self.validate_every
            epochs = min(epochs, 60 * self.minutes / max(seconds, 1e-9))
        validations = max(math.ceil(epochs / self.validate_every), 1)
        # The best checkpoint is measured again after the training.
        return ExtentTime(epochs, validations, epochs * epoch, (validations + 1) * validation)

    def text(self, time: ExtentTime) -> str:
        """The work and its time in one line."""
        epochs = f"{time.epochs:,.1f}".removesuffix(".0")
        return (
            f"the whole training: {epochs} {'epoch' if epochs == '1' else 'epochs'} of "
            f"{counted(self.batches, 'batch')} and {counted(time.validations, 'validation')} of "
            f"{counted(self.validation_images, 'image')}, about {duration(time.seconds)} "
            f"({duration(time.validation)} of that for validation)"
        )


@dataclass(frozen=True)
class ExtentTime:
    """The duration of a training.

    Attributes:
        epochs: Epochs that it reaches.
        validations: Number of validations.
        training: Seconds of its batches.
        validation: Seconds of its validations, and of measuring the best checkpoint.
    """

    epochs: float
    validations: int
    training: float
    validation: float

    @property
    def seconds(self) -> float:
        """Seconds in total."""
        return self.training + self.validation


def extent_of(
    config: Mapping[str, Any], *, batches: int, batch_size: int, validation_images: int
) -> Extent:
    """The work of a configuration's training.

    Args:
        config: The whole configuration.
        batches: Batches of an epoch on each device, before limits.
        batch_size: Images of a batch on each device.
        validation_images: Images of each validation, before limits.
    """
    trainer, data = config["trainer"], config["data"]
    if trainer["limit_train_batches"] is not None:
        batches = min(batches, trainer["limit_train_batches"])
    if trainer["limit_validation_batches"] is not None:
        size = data["validation_batch_size"] or data["batch_size"]
        validation_images = min(validation_images, size * trainer["limit_validation_batches"])
    ends: list[float] = [] if trainer["max_epochs"] is None else [trainer["max_epochs"]]
    if trainer["max_steps"] is not None:
        ends.append(trainer["max_steps"] * trainer["accumulate_grad_batches"] / max(batches, 1))
    return Extent(
        epochs=min(ends, default=None),
        minutes=trainer["max_minutes"],
        batches=batches,
        batch_size=batch_size,
        validate_every=trainer["validate_every"],
        validation_images=validation_images,
    )
