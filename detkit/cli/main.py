"""The `detkit` program: run the module of a command, and print user errors on one screen.

Imports neither torch nor hydra. A command's module is imported only when the command runs; its help
is read from the module's text, so that help is instant.
"""

from __future__ import annotations

import ast
import contextlib
import gc
import importlib
import importlib.util
import os
import signal
import sys
from pathlib import Path
from types import ModuleType
from typing import TextIO

from detkit.cli.completion import complete
from detkit.cli.output_folder import permission_text
from detkit.cli.typed import as_settings
from detkit.errors import ConfigError, UserError, did_you_mean, without_dependencies
from detkit.interruption import run_stoppable
from detkit.lasting_output import lasting_output
from detkit.text import align_columns

COMMANDS = {
    "train": "train a detector, or resume a run",
    "sweep": "train many settings in parallel; resume a sweep; show its results as a table",
    "evaluate": "measure a checkpoint on a data set",
    "compare": "tell which of several detectors is better, or that chance explains it",
    "predict": "detect objects in images: pictures and a JSON file of boxes",
    "export": "write a detector for ONNX, OpenVINO or Triton, with a certificate",
    "replay": "repeat the step with a non-finite loss",
    "import": "load weights of another framework (MMDetection, timm, ...) into a detector",
    "bundle": "pack a run into a folder of safetensors, configuration and class names",
    "data": "check, convert, summarise or show a data set; fit anchors; propose regions",
    "assign": "show which priors are responsible for which objects",
    "config": "show the composed configuration and its wiring; explain a value; compare two runs",
    "benchmark": "measure how fast a configuration loads, trains and predicts; find bottlenecks",
    "tune": "find a learning rate with a range test",
    "plan": "estimate minutes and memory of a sweep's jobs; find invalid ones before any starts",
    "list": "list everything you can choose: models, experiments, data, parts",
    "describe": "show a part's arguments, types, defaults and paper",
    "plugin": "write a part of your own; check a part against its family's contract",
    "version": "show the versions of detkit and its dependencies",
}
MODULES = {"import": "import_weights"}  # `import` cannot name a module
VERBS = {  # `detkit data check` is in data_check.py
    "config": ("explain", "diff", "schedule"),
    "data": ("check", "convert", "stats", "anchors", "show", "propose"),
    "plugin": ("new", "check"),
    "sweep": ("resume", "table"),
    "tune": ("learning_rate",),
}
MOST_PROBLEMS = 20  # to print; the others are only counted
_SIGNALS = (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1)  # Ctrl-C is a KeyboardInterrupt
LASTING = ("train", "sweep")  # commands that survive the loss of their terminal or pipe
COMPLETION = ("-sc", "--shell-completion")
EXAMPLES = """\
  detkit train experiment=demo
  detkit train model=fcos model/neck=pan data.path=DATA
  detkit predict ckpt=runs/demo source=PHOTOS"""


def main(argv: list[str] | None = None) -> int:
    """Run the command line and return its exit code, which is 2 for a user error."""
    words = sys.argv[1:] if argv is None else argv
    long_running = bool(words) and words[0] in LASTING
    with lasting_output() if long_running else contextlib.nullcontext():
        return run_stoppable(lambda: _run(words), _SIGNALS, ends_process=argv is None)


def _run(words: list[str]) -> int:
    try:
        code = dispatch(words)
        sys.stdout.flush()
    except UserError as error:
        if not _is_completion_query(words):  # a half-typed line is no error
            print(error_text(error, sys.stderr), file=sys.stderr)
        return 2
    except ModuleNotFoundError as error:
        missing = without_dependencies(error, f"detkit {words[0]}")
        if missing is None:
            raise
        print(error_text(missing, sys.stderr), file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped by the keyboard", file=sys.stderr)
        return 130
    except PermissionError as error:
        print(error_text(UserError(permission_text(error)), sys.stderr), file=sys.stderr)
        return 2
    except BrokenPipeError:  # the reader has ended, as in `detkit list | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    return code


def _is_completion_query(words: list[str]) -> bool:
    return words[0] in COMPLETION and any(word.startswith("query=") for word in words)


def dispatch(words: list[str]) -> int:
    """Run a command's module with the words after the command.

    Raises:
        UserError: There is no such command, or the command reports a user error.
    """
    if not words or words[0] in ("-h", "--help", "help"):
        print(overview())
        return 0
    if words[0] in COMPLETION:
        complete(words, list(COMMANDS), VERBS)
        return 0
    command, *arguments = words
    arguments = as_settings(arguments)
    command = "version" if command == "--version" else command
    if command not in COMMANDS:
        raise UserError(
            f"there is no command '{command}'.{did_you_mean(command, COMMANDS)} "
            f"Commands: {', '.join(COMMANDS)}."
        )
    if "-h" in arguments or "--help" in arguments:
        verb = arguments[0] if arguments[0] in VERBS.get(command, ()) else None
        print(help_of(f"{command}_{verb}" if verb else command))
        return 0
    return imported(module_of(command)).run(arguments) or 0


def module_of(command: str) -> str:
    """The module with a command's `HELP` and `run`."""
    return f"detkit.cli.{MODULES.get(command, command)}"


def imported(module: str) -> ModuleType:
    """Import a command's module, with the garbage collector off if the process is new.

    Libraries such as PyTorch create 700,000 permanent objects. Scanning them again and again takes
    a quarter of the time that `detkit train` needs to reach its first step. Freezing them also
    spares later scans and lets workers share their memory.
    """
    if "torch" in sys.modules or not gc.isenabled():  # existing objects may be garbage
        return importlib.import_module(module)
    gc.disable()
    try:
        return importlib.import_module(module)
    finally:
        gc.freeze()
        gc.enable()


def overview() -> str:
    """The text of `detkit --help`."""
    lines = [f"  {line}" for line in align_columns(list(COMMANDS.items()))]
    return "\n".join(
        [
            "detkit: object detection composed in YAML",
            "",
            "usage: detkit COMMAND [KEY=VALUE ...]",
            "",
            *lines,
            "",
            "examples:",
            EXAMPLES,
            "",
            "`detkit COMMAND --help` explains a command.",
            'Tab completion: eval "$(detkit -sc install=bash)" (also zsh, fish).',
        ]
    )


def help_of(command: str) -> str:
    """The literal `HELP` in a command's module, read without importing it."""
    spec = importlib.util.find_spec(module_of(command))
    if spec is None or spec.origin is None:
        raise RuntimeError(f"detkit.cli has no module '{command}'")
    for node in ast.parse(Path(spec.origin).read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            if isinstance(target, ast.Name) and target.id == "HELP":
                return str(ast.literal_eval(node.value)).strip()
    raise RuntimeError(f"detkit.cli.{command} has no HELP")


def error_text(error: UserError, stream: TextIO) -> str:
    """The message for an error, with all problems; the heading is red on a terminal."""
    coloured = stream.isatty() and not os.environ.get("NO_COLOR")
    heading = "\033[1;31merror:\033[0m" if coloured else "error:"
    problems = error.problems if isinstance(error, ConfigError) else [str(error)]
    if len(problems) == 1:
        return f"{heading} {problems[0]}"
    listed = problems[:MOST_PROBLEMS]
    lines = [f"  {number}. {problem}" for number, problem in enumerate(listed, 1)]
    if len(problems) > len(listed):
        lines.append(f"  ... and {len(problems) - len(listed):,} more, most likely like these")
    return "\n".join([f"{heading} the configuration has {len(problems):,} problems:", *lines])


if __name__ == "__main__":
    sys.exit(main())
