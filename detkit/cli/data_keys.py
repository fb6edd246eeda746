"""Translate keys in messages to the ones that the commands of `detkit data` take."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from detkit.errors import ConfigError, UserError

_SPLITS = r"data\.train_split and data\.validation_split|data\.(train|validation)_split(?!=null)"
# Readers' messages name the keys of `detkit train`, which has the data set in the block `data`.
_PLAIN = {
    r"data\.reader": "reader",
    r"data\.path": "path",
    _SPLITS: "splits",
    "set data.validation_split=null": "train with data.validation_split=null",  # a training's key
}
_BY_VERB = {
    "check": _PLAIN,
    "stats": _PLAIN,
    "anchors": _PLAIN,
    "propose": _PLAIN,
    "convert": {**_PLAIN, r"data\.path": "SOURCE", _SPLITS: "split"},
}


def own_keys(text: str, verb: str = "check") -> str:
    """A message with the keys of a verb: `data.reader=coco` becomes `reader=coco`."""
    for pattern, key in _BY_VERB.get(verb, {}).items():
        text = re.sub(rf"(?<![\w./\\]){pattern}(?![\w])", key, text)
    return text


@contextmanager
def errors_with_own_keys(verb: str) -> Iterator[None]:
    """Make errors name the keys that the verb takes."""
    try:
        yield
    except ConfigError:
        raise  # it already names the user's words
    except UserError as error:
        error.args = (own_keys(str(error), verb),)
        raise
