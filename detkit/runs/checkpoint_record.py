"""The record in a checkpoint: plain values from which its detector is rebuilt."""

from __future__ import annotations

import reprlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeGuard, TypeVar

from detkit.errors import UserError
from detkit.files import display_path
from detkit.runs.older_config import with_current_keys
from detkit.structures import ClassCounts
from detkit.version import __version__

RECORD = "detkit"
# Increased when an older detkit cannot read what a newer one writes.
FORMAT = 1
_PLAIN = (str, int, float, bool, type(None))
_RUNS_CODE = ("_target_", "()")
T = TypeVar("T")
_MOST_VALUES, _DEEPEST = 100_000, 40


@dataclass(frozen=True)
class Record:
    """The validated record of a checkpoint.

    Attributes:
        config: The run's configuration.
        class_names: The C names, in label order.
        category_ids: The C ids of the data set's own format.
        version: The version of detkit that wrote it.
        plugins: The plugins of the run; shown to the user, never imported.
        data: Fingerprints of the training and validation data, if known.
        source: The origin of weights that detkit did not train.
        class_counts: How often each class occurs in the training images, if known.
    """

    config: dict[str, Any]
    class_names: list[str]
    category_ids: list[int]
    version: str = "unknown"
    plugins: list[str] = field(default_factory=list)
    data: dict[str, Any] | None = None
    source: dict[str, Any] | None = None
    class_counts: ClassCounts | None = None

    def plain(self) -> dict[str, Any]:
        """The record as plain values for a file."""
        counts = None if self.class_counts is None else self.class_counts.plain()
        return {"format": FORMAT, **vars(self), "class_counts": counts}


def parse_record(content: Any, path: Path) -> Record:
    """Validate a record from a file that may come from an unknown source.

    Raises:
        UserError: It was written by a newer detkit, is incomplete, has a value of the wrong type,
            or names code.
    """
    if not isinstance(content, Mapping):
        raise UserError(f"{path}: was not written by detkit: it has no '{RECORD}' record.")
    version = content.get("version", "unknown")
    number = content.get("format", 1)
    if type(number) is not int or number < 1:
        raise _wrong(path, f"'format' is {_shown(number)}, expected a whole number")
    if number > FORMAT:
        raise UserError(
            f"{path}: was written by detkit {version} (checkpoint format {number}), this is detkit "
            f"{__version__} (format {FORMAT}): update detkit."
        )
    _require_plain(content, path)
    names, ids = content.get("class_names"), content.get("category_ids")
    if not _is_list_of(names, str) or not names:
        raise _wrong(path, f"'class_names' is {_shown(names)}, expected a list of names")
    if not _is_list_of(ids, int) or len(ids) != len(names):
        raise _wrong(path, f"'category_ids' is {_shown(ids)}, expected {len(names)} whole numbers")
    plugins = content.get("plugins", [])
    if not _is_list_of(plugins, str):
        raise _wrong(path, f"'plugins' is {_shown(plugins)}, expected a list of names")
    config = _mapping(content, "config", path)
    if config is None:
        raise _wrong(path, "it has no 'config'")
    return Record(
        config=with_current_keys(config),
        class_names=list(names),
        category_ids=list(ids),
        version=str(version),
        plugins=list(plugins),
        data=_mapping(content, "data", path),
        source=_mapping(content, "source", path),
        class_counts=_class_counts(content, len(names), path),
    )


def _class_counts(content: Mapping[str, Any], classes: int, path: Path) -> ClassCounts | None:
    counts = _mapping(content, "class_counts", path)
    if counts is None:
        return None
    try:
        return ClassCounts.parse(counts, classes)
    except ValueError as error:
        raise _wrong(path, f"'class_counts': {error}") from error


def _mapping(content: Mapping[str, Any], key: str, path: Path) -> dict[str, Any] | None:
    value = content.get(key)
    if value is not None and not isinstance(value, dict):
        raise _wrong(path, f"'{key}' is {_shown(value)}, expected a mapping")
    return value


def _require_plain(content: Mapping[str, Any], path: Path) -> None:
    """Refuse a record with too many values, objects other than plain values, or code."""
    pending: list[tuple[Any, tuple[str, ...]]] = [(content, ())]
    count = 0
    while pending:
        value, where = pending.pop()
        count += 1
        if count > _MOST_VALUES or len(where) > _DEEPEST:
            raise _wrong(path, "it holds more values than a configuration has")
        if isinstance(value, Mapping):
            for key in value:
                _require_key(key, (*where, str(key)), path)
            pending += [(item, (*where, str(key))) for key, item in value.items()]
        elif isinstance(value, list | tuple):
            pending += [(item, (*where, str(number))) for number, item in enumerate(value)]
        elif not isinstance(value, _PLAIN):
            raise _wrong(path, f"'{'.'.join(where)}' is {_shown(value)}, expected a plain value")
        elif isinstance(value, str) and where[0] == "config" and "${" in value:
            raise _wrong(path, f"'{'.'.join(where)}' is {_shown(value)}, to be read from elsewhere")


def _require_key(key: Any, where: tuple[str, ...], path: Path) -> None:
    name = ".".join(where)
    if key in _RUNS_CODE:
        raise UserError(
            f"{path}: its record names code to run ('{name}'), which detkit never does and never "
            "writes: somebody changed the file; get it from a source that you trust."
        )
    if not isinstance(key, str) or (where[0] == "config" and key == "defaults"):
        raise _wrong(path, f"it has the key '{name}'")


def _is_list_of(value: Any, kind: type[T]) -> TypeGuard[list[T]]:
    return isinstance(value, list) and all(type(item) is kind for item in value)


def _wrong(path: Path, fault: str) -> UserError:
    return UserError(
        f"{path}: its record is not as detkit writes it: {fault}. Take another copy of the file, "
        "or another checkpoint of the run."
    )


def _shown(value: Any) -> str:
    """A value in one line, abbreviated."""
    return f"{reprlib.repr(value)} ({type(value).__name__})"


def plugin_names(loaded: Iterable[str]) -> list[str]:
    """Names of plugins for a record: files relative to the working directory."""
    return [display_path(name) for name in loaded]


def explain_unknown_part(record: Record, loaded: Iterable[str]) -> str:
    """A hint for a checkpoint whose parts are unknown, or an empty string.

    Args:
        record: The record of the checkpoint.
        loaded: The loaded plugins.
    """
    names = plugin_names(loaded)
    absent = [name for name in record.plugins if name not in names]
    if absent:
        return (
            f" The checkpoint was made with plugins that are not loaded ({', '.join(absent)}), and "
            "detkit never loads a plugin because a checkpoint names it: if you have them and trust "
            f"them, {_how_to_load(absent)}."
        )
    if record.version not in ("unknown", __version__):
        return f" The checkpoint was written by detkit {record.version}, this is {__version__}."
    return ""


def _how_to_load(plugins: list[str]) -> str:
    """Tell the user how to let detkit load the plugins that a checkpoint names."""
    elsewhere = [
        name
        for name in plugins
        if (name.endswith(".py") or "/" in name) and not Path(name).exists()
    ]
    ways = [f"copy {name} into plugins/ here, or add plugins=[ITS_PATH]" for name in elsewhere]
    local = [name for name in plugins if name not in elsewhere]
    if local:
        ways.append(f"add plugins=[{','.join(local)}] (a module must be installed)")
    return "; ".join(ways)
