"""Recognise split names in the names of files and folders."""

from __future__ import annotations

import re
from pathlib import PurePath

from detkit.data.splits import SYNONYMS, role_of

_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+")
SPLIT_WORDS = frozenset(word for words in SYNONYMS.values() for word in words)
_ENDINGS = ("set", "data", "images", "labels", "annotations")


def split_of(name: str) -> str | None:
    """The split that a name states: "train" for "train_annotations", "instancesTrain2017".

    None if it states no split, or several ("train_and_val").
    """
    splits = {split for word in _WORD.findall(name) if (split := _split(word.lower())) is not None}
    return splits.pop() if len(splits) == 1 else None


def split_of_path(path: PurePath) -> str | None:
    """The split that a relative path states, in its file name or in the nearest folder."""
    names = [path.stem, *reversed(path.parts[:-1])]
    return next((split for name in names if (split := split_of(name)) is not None), None)


def fits_split(first: str | None, second: str | None) -> bool:
    """Whether files of two splits may belong together.

    They may if one states no split, both mean the same, or one contains the other ("trainval").
    """
    if first is None or second is None:
        return True
    roles = {role_of(first), role_of(second)}
    return len(roles) == 1 or ("trainval" in (first, second) and roles == {"train", "val"})


def _split(word: str) -> str | None:
    if word in SPLIT_WORDS:
        return word
    stems = (word.removesuffix(ending) for ending in _ENDINGS if word.endswith(ending))
    return next((stem for stem in stems if stem in SPLIT_WORDS), None)
