"""What commands read from their words before Hydra composes."""

from __future__ import annotations

from typing import Any

from detkit import registry
from detkit.config import compose
from detkit.errors import ConfigError, UserError
from detkit.inference.checkpoint import Checkpoint, find_checkpoint, read_checkpoint
from detkit.inference.record import explain_unknown_part


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
    place = value_of(words, "ckpt")
    if not place:
        raise UserError(
            f"detkit {command} needs a checkpoint: ckpt=RUN, where RUN is a run folder or a file."
        )
    checkpoint = read_checkpoint(find_checkpoint(place, prefer))
    if command == "train" and not checkpoint.resumable:
        raise UserError(
            f"ckpt={place}: holds a detector and no state of a training to go on with (it was "
            f"imported or bundled): start a new training from it with weights={place}."
        )
    return checkpoint


def compose_with(
    checkpoint: Checkpoint, root: str, words: list[str], **changed: Any
) -> dict[str, Any]:
    """The configuration of a checkpoint with the command line's words on top.

    Args:
        checkpoint: It gives what the words leave open.
        root: The page, one of `pages.ROOTS`.
        words: The command line's.
        changed: Values that differ from the checkpoint's.

    Raises:
        ConfigError: With all problems; unknown parts are explained by what the checkpoint says.
    """
    try:
        return compose.compose(root, words, {**checkpoint.config, **changed})
    except ConfigError as error:
        hint = explain_unknown_part(checkpoint.record, registry.load_plugins())
        told = [f"{p}{hint}" if "there is no " in p else p for p in error.problems]
        raise ConfigError(told) from error


def without(words: list[str], *flags: str) -> tuple[list[str], set[str]]:
    """The words that are no such flags, and the flags that were there."""
    return [w for w in words if w not in flags], {w for w in words if w in flags}
