"""What commands read from their words before Hydra composes."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

from detkit.api.checkpoint_config import compose_explained, names_model
from detkit.cli.settings import KEY as SETTINGS
from detkit.cli.settings import changed_settings, with_settings
from detkit.config.compose import Composed, compose_with_origins
from detkit.config.pages import CHECKPOINT
from detkit.errors import UserError
from detkit.runs.checkpoint import Checkpoint, find_checkpoint, read_checkpoint
from detkit.weights.source import read_source
from detkit.weights.start import model_text, refuse_other_shapes


def value_of(words: list[str], key: str) -> str | None:
    """The value of `key=value` among the words, or None."""
    for word in words:
        name, separator, value = word.lstrip("+").partition("=")
        if separator and name == key:
            return value.strip("'\"")
    return None


def checkpoint_of(words: list[str], command: str, prefer: str = "best") -> Checkpoint:
    """The checkpoint that `ckpt=...` names.

    Raises:
        UserError: None is named, or it cannot be read.
    """
    source = value_of(words, "ckpt")
    if not source:
        other = value_of(words, "weights") or value_of(words, "model")
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


def compose_training(words: list[str], root: str = "train") -> Composed:
    """The configuration of a new training, its model that of the weights where no word names one.

    `model=checkpoint` is the model of the weights in any case, and other words tune it.

    Args:
        words: The command line's.
        root: The page, `train` or one with all that it has.

    Raises:
        ConfigError: With all problems.
        UserError: The model of the weights' file is not the one that they are of.
    """
    if (page := value_of(words, "sweep")) not in (None, "null"):
        searching = f"to search, write detkit sweep sweep={page} ..."
        print(f"note: this is one run with what sweep={page} sets; {searching}", file=sys.stderr)
    run, stored = value_of(words, SETTINGS), None
    words = [word for word in words if not re.match(rf"\+*{SETTINGS}=", word)]
    if run not in (None, "null"):
        words, stored = with_settings(str(run), words)
    source = value_of(words, "weights")
    checkpoint = _checkpoint_at(source) if source not in (None, "", "null") else None
    if source is None or checkpoint is None or not isinstance(checkpoint.config.get("model"), dict):
        if stored is not None and not names_model(words):
            words = [*words, f"model={CHECKPOINT}"]
        return compose_with_origins(root, words, stored)
    return _from_weights(source, checkpoint, root, words, stored)


def _from_weights(
    source: str,
    checkpoint: Checkpoint,
    root: str,
    words: list[str],
    stored: dict[str, Any] | None,
) -> Composed:
    """The configuration of a training from the weights of a run, with the run's model."""
    model = checkpoint.config["model"]
    if not names_model(words):
        about = f"{source} ({model_text(model)})"
        print(f"model: that of {about}, as no word names one", file=sys.stderr)
        words = [*words, f"model={CHECKPOINT}"]
    composed = compose_explained(checkpoint, root, words, {**(stored or {}), "model": model})
    config = composed.config
    if not names_model([word for word in words if word != f"model={CHECKPOINT}"]):
        refuse_other_shapes(checkpoint, config["model"])
    for line in changed_settings(source, checkpoint.config, config) if stored is None else []:
        print(line, file=sys.stderr)
    return composed


def _checkpoint_at(source: str) -> Checkpoint | None:
    """What detkit wrote there; None for weights of others, and where it cannot be read."""
    try:
        return read_source(source).checkpoint
    except UserError:
        return None  # told once the configuration is known to be right


def without(words: list[str], *flags: str) -> tuple[list[str], set[str]]:
    """The words that are no such flags, and the flags that were there."""
    return [w for w in words if w not in flags], {w for w in words if w in flags}
