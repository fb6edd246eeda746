"""Configurations that start from a checkpoint: its settings, changed by overrides."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from detkit import registry
from detkit.config.compose import Composed, compose_with_origins
from detkit.config.override_text import value_of
from detkit.errors import ConfigError, UserError
from detkit.runs.checkpoint import Checkpoint, find_checkpoint, read_checkpoint
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
    return compose_from(checkpoint, root, overrides, **changes).config


def compose_from(
    checkpoint: Checkpoint, root: str, overrides: Sequence[str], **changes: Any
) -> Composed:
    """The same as `compose_with`, with where each value comes from."""
    words = list(overrides)
    composed = compose_explained(checkpoint, root, words, {**checkpoint.config, **changes})
    if "model" in composed.config and (root != "resume" or not names_model(words)):
        refuse_other_shapes(checkpoint, composed.config["model"])
    return composed


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


def chooses_model(overrides: Sequence[str]) -> bool:
    """Whether an override names a model or a part of it; `model.head.x=1` tunes the one at hand."""
    return any(re.match(r"[+~]*(model[=/@]|experiment=)", word) for word in overrides)


def checkpoint_of(overrides: Sequence[str], command: str, prefer: str = "best") -> Checkpoint:
    """Read the checkpoint that the override `ckpt=...` names.

    Args:
        overrides: The overrides.
        command: The command's name, for messages; `train` needs a checkpoint that can be resumed.
        prefer: `best` or `last`, if a run has both.

    Raises:
        UserError: No override names one, or it cannot be read.
    """
    source = value_of(overrides, "ckpt")
    if not source:
        other = value_of(overrides, "weights") or value_of(overrides, "model")
        meant = f" Did you mean ckpt={other}?" if other and Path(other).exists() else ""
        raise UserError(
            f"detkit {command} needs a checkpoint: ckpt=RUN, where RUN is a run folder or a "
            f"file.{meant}"
        )
    checkpoint = read_checkpoint(find_checkpoint(source, prefer))
    if command == "train" and not checkpoint.resumable:
        raise UserError(
            f"ckpt={source}: holds a detector without training state (imported or bundled), so it "
            f"cannot be resumed: start a new training with weights={source}."
        )
    return checkpoint
