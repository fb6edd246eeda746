"""How much work a training is: epochs, batches, validations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from detkit.wording import counted, duration


@dataclass(frozen=True)
class Extent:
    """The work of a training.

    Attributes:
        epochs: Passes over the training images.
        batches: Of an epoch on each device.
        batch_size: Images of a batch on each device.
        validations: During training.
        validation_images: Of each.
    """

    epochs: int
    batches: int
    batch_size: int
    validations: int
    validation_images: int

    def training_seconds(self, image: float) -> float:
        """Seconds of all batches, if a device takes so many for an image."""
        return self.epochs * self.batches * self.batch_size * image

    def validation_seconds(self, image: float) -> float:
        """Seconds of all validations and of measuring the best checkpoint after training."""
        return (self.validations + 1) * self.validation_images * image

    def text(self, training: float, validation: float) -> str:
        """The work and its time, for seconds of training and of validation."""
        return (
            f"the whole training: {counted(self.epochs, 'epoch')} of "
            f"{counted(self.batches, 'batch')} and {counted(self.validations, 'validation')} of "
            f"{counted(self.validation_images, 'image')}, about {duration(training + validation)} "
            f"({duration(validation)} of it validation)"
        )


def extent_of(
    config: Mapping[str, Any], *, batches: int, batch_size: int, validation_images: int
) -> Extent:
    """The work of a configuration's training.

    Args:
        config: The whole configuration.
        batches: Of an epoch on each device, before limits.
        batch_size: Images of a batch on each device.
        validation_images: Of each validation, before limits.
    """
    trainer, data = config["trainer"], config["data"]
    if trainer["limit_train_batches"] is not None:
        batches = min(batches, trainer["limit_train_batches"])
    if trainer["limit_validation_batches"] is not None:
        size = data["validation_batch_size"] or data["batch_size"]
        validation_images = min(validation_images, size * trainer["limit_validation_batches"])
    epochs, every = trainer["max_epochs"], trainer["validate_every"]
    return Extent(
        epochs=epochs,
        batches=batches,
        batch_size=batch_size,
        validations=-(-epochs // every),  # the last epoch is always validated
        validation_images=validation_images,
    )
