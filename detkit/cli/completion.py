"""Tab completion of commands, keys and values within a tenth of a second.

`detkit -sc install=SHELL` prints a shell function. At each tab, it runs `detkit -sc query=SHELL`
with the typed line in COMP_LINE and offers the printed words. For speed, neither composes anything
nor imports a part: completions come from pages and from the source text of parts. Hydra's own
functions take seconds to print, because that imports Hydra, and zsh cannot run them by itself.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from detkit import registry
from detkit.config.completion.static_parts import Outline, page_names
from detkit.config.completion.static_schema import StaticArgument, block_arguments
from detkit.config.page_list import GROUPS, page_groups
from detkit.config.part_pages import all_names
from detkit.errors import UserError, did_you_mean
from detkit.text import listed

# Command -> its root class and root page; commands such as `data show` share a training's.
ROOTS: dict[str, tuple[str, str]] = {
    **dict.fromkeys(
        ("train", "config", "plan", "sweep", "assign", "data show", "tune learning_rate"),
        ("Train", "train"),
    ),
    "benchmark": ("Benchmark", "train"),
    "evaluate": ("Evaluate", "train"),
    "predict": ("Predict", "train"),
    "import": ("Import", "import"),
    "export": ("Export", "export"),
    "replay": ("Replay", "train"),
}
_OPTIONS = (
    *("assign", "data check", "data stats", "data anchors", "data show", "data convert"),
    "tune learning_rate",
)
_NEW_RUNS = (
    "train",
    "config",
    "benchmark",
    "tune learning_rate",
)  # commands that accept settings=RUN
_FORMATS = {"export": "exporter", "predict": "writer"}  # the family of `format`
_PATHS = (
    "ckpt",
    "weights",
    "settings",
    "data.path",
    "source",
    "output",
    "run_folder",
    "file",
    "detections",
    "calibration",
)
_FOLDERS = ("data.path", "run_folder", "hydra.sweep.dir", "--config-dir")
_SWEEP = ("hydra.sweep.dir", "hydra.launcher.devices", "hydra.launcher.jobs_per_device")
_SCRIPTS = Path(__file__).parent / "completion_scripts"
_PREFIX = re.compile(r"(\+{1,2}|--|)(.*)", re.DOTALL)


def complete(
    words: list[str], commands: list[str], verbs: Mapping[str, Sequence[str]] | None = None
) -> None:
    """Print the completions of the line in COMP_LINE, or the shell function that asks for them.

    Args:
        words: The flag, then `query=SHELL` or `install=SHELL`.
        commands: All commands.
        verbs: The verbs that may follow each command.

    Raises:
        UserError: There is no function for the shell, or the words are neither.
    """
    action, _, shell = " ".join(words[1:]).partition("=")
    if action == "install":
        print(script(shell), end="")
        return
    if action != "query":
        raise UserError(
            f"'{words[0]}' takes install=SHELL, where SHELL is {listed(_shells(), 'or')}; got "
            f"{' '.join(words[1:]) or 'nothing'}."
        )
    typed = os.environ.get("COMP_LINE", "").split(" ")
    done, current = [word for word in typed[:-1] if word], typed[-1]
    answers = candidates(done[1:], current, commands, verbs or {})
    for word in dict.fromkeys(word for word in answers if word.startswith(current)):
        print(word)


def _shells() -> list[str]:
    return sorted(file.stem for file in _SCRIPTS.iterdir())


def script(shell: str) -> str:
    """The completion function for a shell.

    Raises:
        UserError: There is none.
    """
    if shell not in _shells():
        raise UserError(
            f"install={shell}: detkit completes for {listed(_shells())} only."
            f"{did_you_mean(shell, _shells())}"
        )
    return next(_SCRIPTS.glob(f"{shell}.*")).read_text(encoding="utf-8")


def candidates(
    done: Sequence[str], current: str, commands: Sequence[str], verbs: Mapping[str, Sequence[str]]
) -> Iterator[str]:
    """Completions of the current word.

    Args:
        done: The finished words after `detkit`.
        current: The start of the next word.
        commands: All commands.
        verbs: The verbs that may follow each command.
    """
    if not done:
        yield from commands
        return
    command, *arguments = done
    if not arguments and "=" not in current:
        yield from verbs.get(command, ())
    yield from _names(command, arguments)
    if arguments and arguments[0] in verbs.get(command, ()):
        command, arguments = f"{command} {arguments[0]}", arguments[1:]
    yield from _settings(command, arguments, current)


def _settings(command: str, words: Sequence[str], current: str) -> Iterator[str]:
    """Keys and values of a command that takes KEY=VALUE."""
    sign, text = _PREFIX.fullmatch(current).groups()  # type: ignore[union-attr]  # fits any text
    if command in _OPTIONS:
        module = command.replace(" ", "_")
        options = block_arguments(f"detkit.cli.{module}:Options")
        yield from (f"{sign}{word}" for word in _options(options, text))
    if family := _FORMATS.get(command):  # `export`: another word for `exporter`
        yield from (f"{sign}format={name}" for name in ("", *Outline.names(family)))
    root = ROOTS.get("config" if command == "config explain" else command)
    if root is None:
        return
    outline = Outline(*root, words)
    key, equals, value = text.partition("=")
    if equals:
        start = value[: value.rfind(",") + 1]  # earlier values of a sweep
        values = _values(outline, key, value[len(start) :])
        yield from (f"{sign}{key}={start}{word}" for word in values)
        return
    if command == "config explain":
        yield from (word.rstrip("=") for word in _keys(outline, text))
        return
    yield from (f"{sign}{word}" for word in _keys(outline, text))
    if command in _NEW_RUNS:
        yield f"{sign}settings="
    if command in ("train", "sweep") and text.startswith("hydra"):
        yield from (f"{sign}{key}=" for key in _SWEEP)


def _options(options: Mapping[str, StaticArgument], text: str) -> Iterator[str]:
    """The command's options that a training does not have."""
    for name, argument in options.items():
        values = Outline.names(argument.family) if argument.family else argument.values
        files = _files(name, text.partition("=")[2]) if name in ("path", "output") else ()
        yield from (f"{name}={value}" for value in ("", *values, *files))


def _keys(outline: Outline, text: str) -> Iterator[str]:
    """Keys that may follow, such as `model.head.box_loss=` and `model.head.`."""
    mark = "/" if "/" in text else "."
    *path, _ = text.split(mark)
    start = "".join(f"{key}{mark}" for key in path)
    for name, argument in outline.arguments(path).items():
        is_slot = argument.family is not None
        is_group = is_slot and not argument.by_label
        has_value = argument.block is None or name in GROUPS
        if is_group if mark == "/" else has_value:
            yield f"{start}{name}="
        if is_slot or argument.block is not None:
            yield f"{start}{name}{mark}"
        if is_group and not path:
            yield f"{name}/"
    if not path:
        yield from (f"{group}=" for group in page_groups())


def _values(outline: Outline, key: str, value: str) -> Iterator[str]:
    """Values that a key may be set to."""
    if key in (*_PATHS, *_FOLDERS):
        yield from _files(key, value)
    path = re.split(r"[./]", key)
    if len(path) == 1:
        yield from page_names(key)
        if key == "model":
            return  # a detector without a page has no parts
    argument = outline.argument(path)
    if argument is None:
        return
    if argument.family is not None and not argument.by_label:
        yield from outline.names(argument.family, argument.space)
    yield from argument.values


def _files(key: str, value: str) -> Iterator[str]:
    """Files and folders that complete a path; only folders for some keys."""
    folder, slash, _ = value.rpartition("/")
    parent = Path(f"{folder}/" if slash else ".").expanduser()
    try:
        entries = sorted(parent.iterdir())
    except OSError:
        return
    for entry in entries:
        if entry.name.startswith(".") or any(mark in entry.name for mark in " '\"$"):
            continue  # the shell would split it
        if entry.is_dir():
            yield f"{folder}{slash}{entry.name}/"
        elif key not in _FOLDERS:
            yield f"{folder}{slash}{entry.name}"


def _names(command: str, arguments: Sequence[str]) -> list[str]:
    """Words that may follow `list`, `describe`, `plugin new` and `plugin check`."""
    if (command, *arguments) == ("plugin", "check"):
        registry.load_plugins()
        parts = [registry.part(f, name) for f in registry.FAMILIES for name in registry.names(f)]
        return [f"{part.family}/{part.name}" for part in parts if part.plugin is not None]
    if (command, *arguments) == ("list",):
        return [*page_groups(), *registry.FAMILIES]
    if (command, *arguments) in (("describe",), ("plugin", "new")):
        return list(registry.FAMILIES)
    if command == "describe" and len(arguments) == 1 and arguments[0] in registry.FAMILIES:
        registry.load_plugins()
        return all_names(arguments[0])
    return []
