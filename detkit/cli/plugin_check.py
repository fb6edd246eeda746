"""`detkit plugin check`: check a part against its family's contract."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from detkit import registry
from detkit.cli.plugin_targets import parts_of_target
from detkit.config.part_pages import part_node
from detkit.config.signatures import arguments
from detkit.contracts import BrokenContractError, Case, LeftOutError, cases
from detkit.contracts.tiny_training import quiet
from detkit.errors import ConfigError, UserError, did_you_mean
from detkit.files import display_path

HELP = """
usage: detkit plugin check PATH|NAME [KEY=VALUE ...]

Runs the tests of a part's family on it, the same that detkit's own parts pass: shapes for several
image and batch sizes, images without objects and with a thousand, gradients, bfloat16, state dicts,
export. It reads nothing but the part, and needs no GPU.
Exit code: 0 if the part keeps its contract, 1 if not, 2 if there is no such part or value.

  detkit plugin check plugins/my_neck.py         every part of a file or folder
  detkit plugin check my_neck                    one part, or the parts of a module or package;
                                                 a folder with a part's name is ./my_neck
  detkit plugin check neck/my_neck               if several families have a part of that name
  detkit plugin check my_neck out_channels=64    with another argument of its constructor
  detkit plugin check my_reader data.path=DATA   a reader, on a folder of its format

KEY=VALUE is an argument of the constructor, as in a configuration; `box_loss=giou` and
`sampler.number=64` reach the parts inside it.
"""
DATA = "data.path"
_MARKS = {True: "ok", False: "FAILED", None: "left out"}
_WIDTH = 10  # width of the column of marks


@dataclass
class Counts:
    """The number of checks that a part passed, failed and skipped."""

    kept: int = 0
    broken: int = 0
    left_out: int = 0


def run(words: list[str]) -> int:
    """Check a part or all parts of a plugin; return 1 if a promise is broken.

    Raises:
        UserError: There is no such part, or a value does not fit.
    """
    targets = [word for word in words if "=" not in word or Path(word).exists()]
    if len(targets) != 1 or targets[0].startswith("-"):
        raise UserError(
            "'detkit plugin check' takes one PATH or NAME, and KEY=VALUE for its constructor; got "
            f"{' '.join(words) or 'nothing'}."
        )
    settings = [word for word in words if word not in targets]
    with quiet():
        parts, failure = parts_of_target(targets[0])
    if failure is not None:
        print(f"{failure}\n\nnot checked: no part of it was registered.")
        return 1
    listed = [(part, _cases(part, values)) for part, values in _assign_values(parts, settings)]
    counts = [_report(part, checks) for part, checks in listed]
    if len(counts) > 1:
        broken = [
            f"{p.family}/{p.name}" for (p, _), n in zip(listed, counts, strict=True) if n.broken
        ]
        verdict = f"broken: {', '.join(broken)}" if broken else "all keep their contract"
        print(f"\n{len(counts)} parts, {verdict}")
    return int(any(count.broken for count in counts))


def _assign_values(
    parts: Sequence[registry.Part], words: Sequence[str]
) -> list[tuple[registry.Part, dict[str, Any]]]:
    """Each part with the values for its constructor.

    Raises:
        UserError: No part has such an argument.
    """
    values = [_value(word) for word in words]
    assigned: list[tuple[registry.Part, dict[str, Any]]] = []
    used: set[str] = set()
    names: list[str] = []
    for part in parts:
        keys = [*_arguments(part), *(["data"] if part.family == "reader" else [])]
        names += keys
        settings: dict[str, Any] = {}
        for path, value in values:
            if path[0] in keys:
                _put(settings, path, value)
                used.add(path[0])
        assigned.append((part, settings))
    for path, _ in values:
        if path[0] not in used:
            raise UserError(
                f"no constructor here has an argument '{path[0]}'.{did_you_mean(path[0], names)} "
                f"Allowed here: {', '.join(dict.fromkeys(names)) or 'nothing'}."
            )
    return assigned


def _arguments(part: registry.Part) -> list[str]:
    """The arguments that a configuration can set; none if the constructor cannot be read."""
    try:
        node = part_node(part.family, {"name": part.name})
        result = arguments(registry.get(part.family, node["name"]))
    except UserError:  # reported when the part is checked
        return []
    return [argument.name for argument in result.values() if not argument.wired]


def _value(word: str) -> tuple[list[str], Any]:
    key, _, text = word.partition("=")
    if key == DATA:
        return ["data"], text
    try:
        return key.split("."), yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise UserError(f"{word}: the value is not valid YAML: quote it.") from error


def _put(values: dict[str, Any], path: Sequence[str], value: Any) -> None:
    """Set a value in nested mappings; a part keeps its name."""
    *parents, last = path
    for key in parents:
        inner = values.get(key, {})
        values[key] = dict(inner) if isinstance(inner, Mapping) else {"name": inner}
        values = values[key]
    before = values.get(last)
    named = isinstance(before, Mapping) and not isinstance(value, Mapping)
    values[last] = {**before, "name": value} if named and before is not None else value


def _cases(part: registry.Part, values: dict[str, Any]) -> list[Case] | str:
    """The promises of a part, or the error in its constructor.

    Raises:
        ConfigError: A value is invalid, or a required one is missing.
    """
    try:
        return cases(part.family, part.name, **values)
    except ConfigError as error:
        about = f"{part.family} '{part.name}' ({display_path(str(part.file))})"
        raise ConfigError([f"{about}: {problem}" for problem in error.problems]) from error
    except UserError as error:
        return str(error)


def _report(part: registry.Part, checks: list[Case] | str) -> Counts:
    """Check a part and print a line per promise."""
    counts, file = Counts(), display_path(str(part.file))
    print(f"{part.family} '{part.name}' ({file})")
    if isinstance(checks, str):
        _line(False, "its constructor can be read", checks)
        counts.broken = 1
        checks = []
    for number, case in enumerate(checks):
        is_kept, text, seconds = _checked(case)
        slow = f" ({seconds:.0f} s)" if seconds > 1 else ""
        _line(is_kept, case.title + slow, text)
        counts.kept += is_kept is True
        counts.broken += is_kept is False
        counts.left_out += is_kept is None
        if is_kept is False and number == 0:
            remaining = len(checks) - 1
            _line(None, f"{remaining} more promises: the part must be built first", "")
            counts.left_out += remaining
            break
    text = f"{counts.kept} kept, {counts.broken} broken"
    text += f", {counts.left_out} left out" if counts.left_out else ""
    verdict = "keeps its contract" + (" as far as it was tried" if counts.left_out else "")
    verdict = "does not keep its contract" if counts.broken else verdict
    print(f"{part.family} '{part.name}' {verdict}: {text}", flush=True)
    return counts


def _checked(case: Case) -> tuple[bool | None, str, float]:
    """Whether a promise is kept (None: left out), a message about it, and the seconds it took."""
    start = time.monotonic()
    is_kept: bool | None = True
    message = ""
    try:
        with quiet():
            case()
    except LeftOutError as reason:
        is_kept, message = None, str(reason)
    except BrokenContractError as error:
        is_kept, message = False, error.message
    return is_kept, message, time.monotonic() - start


def _line(is_kept: bool | None, title: str, message: str) -> None:
    print(f"  {_MARKS[is_kept]:{_WIDTH}}{title}")
    if message:
        print(f"  {'':{_WIDTH}}{message}", flush=True)
