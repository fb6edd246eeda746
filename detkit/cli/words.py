"""What commands read from their words before Hydra composes."""

from __future__ import annotations

from detkit.errors import UserError
from detkit.inference.checkpoint import Checkpoint, find_checkpoint, read_checkpoint


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
    return read_checkpoint(find_checkpoint(place, prefer))


def without(words: list[str], *flags: str) -> tuple[list[str], set[str]]:
    """The words that are no such flags, and the flags that were there."""
    return [w for w in words if w not in flags], {w for w in words if w in flags}
