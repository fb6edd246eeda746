"""`data.batch_size=auto`, which detkit replaces by a number before a training starts."""

from __future__ import annotations

from detkit.errors import ConfigError

AUTO = "auto"


def known_batch_size(value: int | str) -> int:
    """The batch size of a configuration.

    Raises:
        ConfigError: It is `auto`, and nothing has decided it.
    """
    if isinstance(value, str):
        raise ConfigError(
            [
                f"data.batch_size: {value} is decided when `detkit train`, `detkit sweep` or "
                "`detkit tune` starts; give a number here."
            ]
        )
    return value
