"""Split the words of a small command into paths and KEY=VALUE options.

For commands without a configuration: `detkit bundle`, `detkit data convert`, `detkit sweep table`.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from detkit.errors import UserError, did_you_mean


def split_options(
    command: str,
    words: Sequence[str],
    keys: Collection[str],
    *,
    repeatable: Collection[str] = (),
    hint: str = "",
) -> tuple[list[str], dict[str, list[str]]]:
    """The paths among the words, and the values of each option, without quotes.

    A word is a path if it has no `=`, has a `/` before it, or exists.

    Args:
        command: The command, for messages.
        words: The words after the command.
        keys: The options of the command.
        repeatable: The options that may occur several times.
        hint: The end of the message about an unknown option; `{word}` is replaced by it.

    Raises:
        UserError: An option is unknown or occurs twice.
    """
    paths: list[str] = []
    values: dict[str, list[str]] = {}
    for word in words:
        key, separator, value = word.partition("=")
        if separator and key in keys:
            values.setdefault(key, []).append(value.strip("'\""))
        elif not separator or "/" in key or Path(word).exists():
            paths.append(word)
        else:
            raise UserError(
                f"detkit {command} has no option '{key}'.{did_you_mean(key, keys)} Options: "
                f"{', '.join(f'{name}=...' for name in keys)}.{hint.format(word=word)}"
            )
    for key, repeated in values.items():
        if len(repeated) > 1 and key not in repeatable:
            raise UserError(f"{key}=... is given {len(repeated)} times: give it once.")
    return paths, values
