"""The words of commands on exported files, read without torch and Hydra."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from detkit.errors import UserError, did_you_mean
from detkit.inference.engines.opening import exported_file

_ITEM = re.compile(r"""\s*(?:'([^']*)'|"([^"]*)"|([^,\s][^,]*?))\s*(?:,|$)""")  # of a list


def exported_checkpoint(words: Sequence[str]) -> Path | None:
    """The exported file that `ckpt=...` names, or None if it names something else."""
    values = [word.partition("=")[2] for word in words if word.startswith("ckpt=")]
    return exported_file(values[-1].strip("'\"")) if values and values[-1] else None


def checkpoint_names(words: Sequence[str]) -> list[str]:
    """The detectors that `ckpt=RUN` or `ckpt=[RUN_A,RUN_B]` names; none without such a word.

    Raises:
        UserError: The list is empty, or has no brackets.
    """
    texts = [word.partition("=")[2] for word in words if word.startswith("ckpt=")]
    if not texts or not texts[-1]:
        return []
    text = texts[-1]
    if not (text.startswith("[") and text.endswith("]")):
        name = text.strip("'\"")
        if name == text and "," in name and not Path(name).exists():
            raise UserError(f"ckpt={text}: for several detectors, write ckpt=[{text}].")
        return [name]
    names = [name.strip().strip("'\"") for name in text[1:-1].split(",")]
    if not all(names):
        raise UserError(f"ckpt={text}: expected runs or files as ckpt=[RUN_A,RUN_B].")
    return names


def exported_checkpoints(words: Sequence[str]) -> list[Path]:
    """The exported files that `ckpt=...` names; none if it names a run, or nothing."""
    files = [exported_file(name) for name in checkpoint_names(words)]
    exported = [file for file in files if file is not None]
    return exported if len(exported) == len(files) else []


def exported_options(
    command: str, file: Path, words: Sequence[str], keys: Sequence[str]
) -> dict[str, str]:
    """The options of a command on an exported file; null leaves one out.

    Args:
        command: The command, for messages.
        file: The exported file.
        words: All words after the command.
        keys: The options beside `ckpt`.

    Raises:
        UserError: A word is no option.
    """
    values: dict[str, str] = {}
    for word in words:
        key, separator, value = word.lstrip("+").partition("=")
        if not separator or key not in ("ckpt", *keys):
            raise UserError(
                f"'{word}' has no effect on {file}, whose settings were fixed when it was "
                f"exported.{did_you_mean(key, keys)} detkit {command} takes "
                f"{', '.join(f'{name}=...' for name in keys)} with an exported file."
            )
        values[key] = value.strip("'\"")
    return {key: value for key, value in values.items() if value != "null" and key != "ckpt"}


def number_of(values: dict[str, str], key: str, default: int) -> int:
    """A whole number above 0 among the options.

    Raises:
        UserError: It is something else.
    """
    text = values.get(key, str(default))
    if not text.isdecimal() or int(text) == 0:
        raise UserError(f"{key}={text}: expected a whole number above 0.")
    return int(text)


def list_of(values: dict[str, str], key: str) -> list[str] | None:
    """A list among the options, such as `[dog,'traffic light']`, or a single text.

    Returns:
        None if the option is not set.

    Raises:
        UserError: It is empty, or one of its items is.
    """
    text = values.get(key)
    if text is None:
        return None
    inner = text[1:-1] if text.startswith("[") and text.endswith("]") else text
    items = [next(filter(None, match), "") for match in _ITEM.findall(inner)]
    if not items or not all(items) or (text == inner and len(items) > 1):
        raise UserError(f"{key}={text}: expected a name, or several as {key}=[A,B].")
    return items


def switch_of(values: dict[str, str], key: str) -> bool | None:
    """A true or false among the options; None if it is not set.

    Raises:
        UserError: It is something else.
    """
    text = values.get(key)
    if text not in (None, "true", "false"):
        raise UserError(f"{key}={text}: expected true or false.")
    return None if text is None else text == "true"
