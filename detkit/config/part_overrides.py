"""Rewrite overrides that name parts, so that Hydra replaces each part whole and then tunes it.

For Hydra, `model.head.box_loss=giou` replaces the mapping of the old part with a string, and
`model.head.box_loss.weight=2` then replaces that string. Rewritten as a choice of the config group
`model/head/box_loss`, the name replaces the old part completely, and keys tune the new part,
whatever the order of the words. Labelled parts are not groups; they are set to null first, which
preserves the position of the label in its page.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from hydra.core.override_parser.types import Override

from detkit.config.override_text import override_text
from detkit.config.overrides import is_group, parse
from detkit.config.removals import is_removal, removal
from detkit.config.slots import (
    ConfigPath,
    has_slot,
    is_block,
    label_family,
    part_family,
    slot_at,
)
from detkit.errors import ConfigError


@dataclass(frozen=True)
class Rewritten:
    """An override for Hydra.

    Attributes:
        text: The override.
        typed: The user's override that it comes from.
    """

    text: str
    typed: str


@dataclass(frozen=True)
class _Naming:
    """An override that replaces or removes the part at a config path.

    Attributes:
        source: The config path that the user's override sets: the part's own, or an outer one.
        overrides: The overrides for Hydra.
    """

    source: ConfigPath
    overrides: list[Rewritten]


def rewritten(words: Iterable[str]) -> list[Rewritten]:
    """The overrides of one job for Hydra: parts are named first, then tuned.

    Raises:
        ConfigError: One override removes a part that another tunes, or that a run needs.
    """
    rewriter = _Rewriter()
    for word in words:
        rewriter.add(word)
    return rewriter.result()


def hydra_words(words: Iterable[str]) -> list[str]:
    """The text of the overrides of one job for Hydra.

    `freeze=[stem]` and `freeze={parts:[stem]}` replace a mapping, which Hydra would merge.
    """
    texts = []
    for override in rewritten(words):
        if re.match(r"[+]*freeze=[\[{]", override.text):
            texts.append("++freeze=null")
        texts.append(override.text)
    return texts


def subject(word: str) -> str:
    """The config path that an override sets; the last override of a subject replaces the others.

    An override that merges a mapping into a part has a separate subject.
    """
    override = parse(word)
    path = _path(override)
    if path[-1] == "name" and part_family(path[:-1]) is not None:
        path = path[:-1]
    value = None if override.is_sweep_override() else override.value()
    return word if isinstance(value, dict) and "name" not in value else ".".join(path)


def without_replaced(words: list[str]) -> list[str]:
    """Drop each override that a later one replaces, if either lists values of a sweep."""
    subjects = [subject(word) for word in words]
    sweeps = {
        name for name, word in zip(subjects, words, strict=True) if parse(word).is_sweep_override()
    }
    last = {name: number for number, name in enumerate(subjects)}
    pairs = enumerate(zip(subjects, words, strict=True))
    return [word for number, (name, word) in pairs if name not in sweeps or last[name] == number]


class _Rewriter:
    def __init__(self) -> None:
        self._namings: dict[ConfigPath, _Naming] = {}
        self._rest: list[Rewritten] = []
        self._removed: dict[ConfigPath, str] = {}

    def add(self, word: str) -> None:
        """Add the next override of the command line."""
        override = parse(word)
        path = _path(override)
        is_plain = override.is_sweep_override() or override.package is not None
        if is_plain or path[0] == "hydra" or (override.is_add() and is_group(_key(override))):
            self._rest.append(Rewritten(word, word))
        elif is_removal(override):
            self._remove(path, word)
        elif isinstance(override.value(), str) and is_group(_key(override)):
            self._replace(path)
            self._namings[path] = _Naming(path, [Rewritten(word, word)])
        else:
            self._value(path, override.value(), word, word)

    def _remove(self, path: ConfigPath, word: str) -> None:
        text = removal(path, word)
        is_part = part_family(path) is not None
        if is_part or label_family(path) is not None or text.startswith("~"):
            self._replace(path)
            self._namings[path] = _Naming(path, [Rewritten(text, word)])
            if is_part:
                self._removed[path] = word
        else:
            self._rest.append(Rewritten(text, word))

    def _value(self, path: ConfigPath, value: Any, text: str, word: str) -> None:
        """Name, tune or set the value at a config path; `text` is the override that sets it."""
        named = _named_part(path, value)
        if named is not None:
            self._name(*named, word)
        elif isinstance(value, dict) and _is_place(path):
            if not value and label_family(path) is not None:
                self._remove(path, word)
            elif not value:
                typed = word.lstrip("+")
                raise ConfigError([f"{typed}: changes nothing: add keys, or remove it."])
            for key, inner in value.items():
                inner_path = (*path, str(key))
                set_it = f"++{'.'.join(inner_path)}={override_text(inner)}"
                self._value(inner_path, inner, set_it, word)
        else:
            self._rest.append(Rewritten(text, word))

    def _name(self, path: ConfigPath, value: dict[str, Any], word: str) -> None:
        self._replace(path)
        for inner, texts in _naming(path, value):
            earlier = self._namings.get(inner)
            if earlier is None or len(earlier.source) <= len(path):
                overrides = [Rewritten(text, word) for text in texts]
                self._namings[inner] = _Naming(path, overrides)

    def _replace(self, path: ConfigPath) -> None:
        """Discard earlier overrides that name or remove a part at the same config path."""
        self._removed.pop(path, None)
        for inner in [key for key, naming in self._namings.items() if naming.source == path]:
            del self._namings[inner]

    def result(self) -> list[Rewritten]:
        """The overrides for Hydra.

        Raises:
            ConfigError: One override removes a part that another changes.
        """
        ordered = sorted(self._namings.items(), key=lambda item: len(item[0]))
        namings = [override for _, naming in ordered for override in naming.overrides]
        everything = [*namings, *self._rest]
        for removed, word in self._removed.items():
            for override in everything:
                path = _path(parse(override.text))
                if path[: len(removed)] == removed and len(path) > len(removed):
                    raise ConfigError(
                        [
                            f"{word.lstrip('+')} removes what {override.typed.lstrip('+')} "
                            "changes: remove one of the two."
                        ]
                    )
        return everything


def without_nulls(words: Iterable[str]) -> list[str]:
    """The overrides of a sweep, a null for a config group as `~group`, which Hydra needs."""
    overrides = [(word, parse(word)) for word in words]
    return [
        removal(_path(override), word)
        if is_removal(override) and is_group(_key(override))
        else word
        for word, override in overrides
    ]


def _naming(path: ConfigPath, value: Mapping[str, Any]) -> Iterator[tuple[ConfigPath, list[str]]]:
    """(config path, overrides) of a named part, and of the named parts in its slots."""
    key = ".".join(path)
    if slot_at(path) is None:
        yield path, [f"++{key}=null", f"++{key}={override_text(value)}"]
        return
    texts = [f"{'/'.join(path)}={override_text(value['name'])}"]
    for argument, inner in value.items():
        if argument == "name":
            continue
        inner_path = (*path, str(argument))
        named = _named_part(inner_path, inner)
        if named is not None:
            yield from _naming(*named)
        else:
            labelled = label_family(inner_path) is not None and isinstance(inner, Mapping)
            content = _with_names(inner) if labelled else inner
            texts.append(f"++{key}.{argument}={override_text(content)}")
    yield path, texts


def _with_names(parts: Mapping[str, Any]) -> dict[str, Any]:
    """Parts by label, a bare name as a mapping."""
    return {k: {"name": part} if isinstance(part, str) else part for k, part in parts.items()}


def _named_part(path: ConfigPath, value: Any) -> tuple[ConfigPath, dict[str, Any]] | None:
    """The config path and mapping of the part that a value names, or None if it names none."""
    if isinstance(value, str) and path[-1] == "name" and _takes_part(path[:-1]):
        path, value = path[:-1], {"name": value}
    elif not _takes_part(path):
        return None
    named = {"name": value} if isinstance(value, str) else value
    name = named.get("name") if isinstance(named, dict) else None
    return (path, named) if isinstance(name, str) and "${" not in name else None


def _takes_part(path: ConfigPath) -> bool:
    """Whether a config path holds a part, not just an argument of the same name."""
    if part_family(path) is None:
        return False
    owner = part_family(path[:-1]) if slot_at(path) is not None else None
    return owner is None or has_slot(owner, path[-1])


def _is_place(path: ConfigPath) -> bool:
    """Whether a config path holds a part, parts by label, or a block."""
    return part_family(path) is not None or label_family(path) is not None or is_block(path)


def _path(override: Override) -> ConfigPath:
    return tuple(_key(override).replace("/", ".").split("."))


def _key(override: Override) -> str:
    return str(override.key_or_group)
