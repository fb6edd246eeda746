"""Accept settings as people type them: `--key=value`, and `~` for the home folder."""

from __future__ import annotations

import os
import re

from detkit.errors import UserError

# Flags of detkit and Hydra; any other word with two dashes is a setting.
FLAGS = {
    *("--help", "--version", "--names", "--json", "--failed", "--freeze", "--skip-bad"),
    *("--package", "--multirun", "--run", "--cfg", "--info", "--resolve", "--shell-completion"),
    *("--hydra-help", "--hydra-completion", "--config-dir", "--config-name", "--config-path"),
    "--experimental-rerun",
}
# A home folder at the start of a value: alone, quoted, or in a list.
_HOME = re.compile(r"""(?<=[=,\[({"' ])~[\w.-]*(?=/)""")


def as_settings(words: list[str]) -> list[str]:
    """Turn `--key=value`, which W&B's agents pass, into `key=value`, and expand `~/`.

    Raises:
        UserError: `--key value`, which is ambiguous.
    """
    settings = [_setting(word, words[position:]) for position, word in enumerate(words, start=1)]
    return [_HOME.sub(lambda match: os.path.expanduser(match[0]), word) for word in settings]


def _setting(word: str, following: list[str]) -> str:
    """A word without the dashes before its key."""
    name, equals, value = word.partition("=")
    if not word.startswith("--") or word == "--" or name in FLAGS:
        return word
    key = name[2:].replace("-", "_")
    if equals:
        return f"{key}={value}"
    if following and "=" not in following[0] and not following[0].startswith("-"):
        raise UserError(
            f"there is no flag '{word}'. Settings are written KEY=VALUE: {key}={following[0]}"
        )
    return word
