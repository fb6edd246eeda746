"""Configurations that start from a checkpoint: its settings, changed by overrides."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from detkit import registry
from detkit.config.compose import Composed, compose_with_origins
from detkit.errors import ConfigError
from detkit.runs.checkpoint import Checkpoint
from detkit.runs.checkpoint_record import explain_unknown_part
from detkit.weights.start import refuse_other_shapes


def compose_with(
    checkpoint: Checkpoint, root: str, overrides: Sequence[str], **changes: Any
) -> dict[str, Any]:
    """Compose the configuration of a checkpoint with overrides on top.

    Args:
        checkpoint: Supplies every setting that no override sets.
        root: The root page, one of `slots.ROOTS`.
        overrides: Hydra overrides, as the command line takes them.
        changes: Values that replace the checkpoint's before the overrides apply.

    Raises:
        ConfigError: With all problems at once; an unknown part gets a hint from the checkpoint.
        UserError: The configured model does not fit the checkpoint's weights.
    """
    words = list(overrides)
    stored = {**checkpoint.config, **changes}
    config = compose_explained(checkpoint, root, words, stored).config
    if "model" in config and (root != "resume" or not names_model(words)):
        refuse_other_shapes(checkpoint, config["model"])
    return config


def compose_explained(
    checkpoint: Checkpoint, root: str, overrides: list[str], config: dict[str, Any]
) -> Composed:
    """Compose, and say for an unknown part which plugin the checkpoint was made with.

    Args:
        checkpoint: Names the plugins of its run.
        root: The root page.
        overrides: Hydra overrides.
        config: The option `checkpoint` of each config group.

    Raises:
        ConfigError: With all problems at once.
    """
    try:
        return compose_with_origins(root, overrides, config)
    except ConfigError as error:
        hint = explain_unknown_part(checkpoint.record, registry.load_plugins())
        problems = [f"{p}{hint}" if "there is no " in p else p for p in error.problems]
        raise ConfigError(problems) from error


def names_model(overrides: Sequence[str]) -> bool:
    """Whether an override chooses or tunes the model, or an experiment page that may do so."""
    return any(re.match(r"[+~]*(model[=./@]|experiment=)", word) for word in overrides)
