"""Choose which limits of a training's length apply together."""

from __future__ import annotations

from typing import Any

from detkit.errors import ConfigError

_EPOCHS = "trainer.max_epochs"
_OTHERS = ("max_steps", "max_minutes")


def choose_limits(trainer: dict[str, Any], words: list[str], resuming: bool) -> None:
    """Let steps or minutes replace the epochs of a page, in place; typed epochs stay.

    Args:
        trainer: The checked block.
        words: The command line's words.
        resuming: Whether a run is resumed; then only words change its limits.

    Raises:
        ConfigError: Nothing would end the training.
    """
    active = [name for name in _OTHERS if trainer[name] is not None]
    if not active and trainer["max_epochs"] is None:
        raise ConfigError(
            [
                f"{_EPOCHS}: null, and neither trainer.max_steps nor trainer.max_minutes is set: "
                "set one of the three; otherwise the training would never end."
            ]
        )
    typed = {word.lstrip("+").partition("=")[0] for word in words}
    is_replaced = any(f"trainer.{name}" in typed for name in active) if resuming else bool(active)
    if is_replaced and _EPOCHS not in typed:
        trainer["max_epochs"] = None


def limit_note(trainer: dict[str, Any]) -> list[str]:
    """A line that names what ends a training if it is not a number of epochs."""
    active = [f"trainer.{name}={trainer[name]:g}" for name in _OTHERS if trainer[name] is not None]
    if not active or trainer["max_epochs"] is not None:
        return []
    return [
        f"{' or '.join(active)} replaces {_EPOCHS}; if you type {_EPOCHS} too, training ends at "
        "the first limit it reaches"
    ]
