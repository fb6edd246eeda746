"""The model that the words of a command describe: a training's, or a checkpoint's."""

from __future__ import annotations

import sys
from dataclasses import dataclass

from detkit.api.checkpoint_config import checkpoint_of
from detkit.api.training_config import new_training
from detkit.assembly import Classes
from detkit.config.compose import Composed, compose_with_origins
from detkit.config.override_text import value_of
from detkit.runs.checkpoint import Checkpoint


@dataclass(frozen=True)
class ComposedModel:
    """A composed configuration, and what its detector detects.

    Attributes:
        composed: The configuration.
        classes: The checkpoint's classes, or placeholders.
        checkpoint: The checkpoint, if one is named.
    """

    composed: Composed
    classes: Classes
    checkpoint: Checkpoint | None


def composed_model(words: list[str], num_classes: int) -> ComposedModel:
    """Compose what `detkit train` would run with the same words, or a checkpoint's configuration.

    Prints what detkit chose by itself to the standard error.

    Args:
        words: Overrides, maybe with ckpt=RUN.
        num_classes: Number of classes without a checkpoint.
    """
    if value_of(words, "ckpt") not in (None, "null"):
        checkpoint = checkpoint_of(words, "config", prefer="last")
        composed = compose_with_origins("resume", words, checkpoint.config)
        classes = Classes(checkpoint.class_names, checkpoint.category_ids)
        return ComposedModel(composed, classes, checkpoint)
    training = new_training(words)
    for line in training.notes:
        print(line, file=sys.stderr)
    return ComposedModel(training.composed, Classes.placeholders(num_classes), None)
