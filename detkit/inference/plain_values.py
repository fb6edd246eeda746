"""Values of the command line, read and written without Hydra.

Commands on exported files use them: an environment for these files has neither Hydra nor PyYAML.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence

from detkit.errors import UserError

# Letters and digits in a row are a name, unless they are a number such as 1e-3.
_TOKEN = re.compile(r"-?\.?\d[\d.]*(?:[eE][-+]?\d+)?(?![\w-])|[A-Za-z_][\w.-]*")
_OTHER_TYPES = ("true", "false", "null")


def plain_value(key: str, text: str, example: str) -> object:
    """A value as Hydra reads it: a name, number, list or mapping.

    Args:
        key: The key that it sets, for messages.
        text: The text after `=`.
        example: A correct word, for messages.

    Raises:
        UserError: It cannot be read.
    """
    try:
        return json.loads(_TOKEN.sub(_as_json, re.sub("['\"]", "", text)))
    except ValueError:
        raise UserError(f"{key}={text}: cannot be read; write it like {example}.") from None


def block_in_words(
    words: Sequence[str], key: str, example: str
) -> tuple[dict[str, object] | object | None, list[str]]:
    """The value that words set a key to, or null without any, and the other words.

    Both `key={a: 1, b: 2}` and `key.a=1` set it; later words win.

    Raises:
        UserError: The text of a value cannot be read, or the mapping is empty.
    """
    value: object = None
    remaining = []
    for word in words:
        name, separator, text = word.lstrip("+").partition("=")
        if separator and name == key:
            value = plain_value(key, text, example)
        elif separator and name.startswith(f"{key}."):
            inner = plain_value(name, text, example)
            outer = value if isinstance(value, dict) else {}
            value = {**outer, name.removeprefix(f"{key}."): inner}
        else:
            remaining.append(word)
    if value == {}:
        raise UserError(f"{key}={{}}: changes nothing: write {example}, or leave it out.")
    return value, remaining


def plain_text(value: object) -> str:
    """A value as the command line takes it."""
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{key}: {plain_text(inner)}' for key, inner in value.items())}}}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(plain_text, value))}]"
    return value if isinstance(value, str) else json.dumps(value, default=repr)


def _as_json(token: re.Match[str]) -> str:
    text = token[0]
    if text in _OTHER_TYPES:
        return text
    try:
        return json.dumps(int(text))
    except ValueError:
        pass
    try:
        return json.dumps(float(text))
    except ValueError:
        return json.dumps(text)
