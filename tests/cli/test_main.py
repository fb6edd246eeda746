"""The dispatcher: help, errors and exit codes."""

from __future__ import annotations

import gc
import importlib
import io
import os
import runpy
import subprocess
import sys
import types
from pathlib import Path

import pytest

import detkit
from detkit.cli import main as command_line
from detkit.errors import ConfigError, DataError, UserError


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch):
    """Replace the module of `detkit train`."""

    def install(run) -> None:
        module = types.ModuleType("detkit.cli.train")
        module.run = run
        monkeypatch.setattr(importlib, "import_module", lambda name: module)

    return install


def raising(error: BaseException):
    def run(arguments: list[str]) -> None:
        raise error

    return run


@pytest.mark.parametrize("words", [[], ["--help"], ["-h"], ["help"]], ids=str)
def test_help_names_every_command_and_three_examples(words, capsys):
    assert command_line.main(words) == 0
    shown = capsys.readouterr().out
    assert all(f"\n  {name} " in shown for name in command_line.COMMANDS)
    assert shown.count("\n  detkit ") == 3


@pytest.mark.parametrize("words", [["--help"], ["-h"], ["neck", "--help"]], ids=str)
def test_command_answers_help_itself(words, capsys):
    assert command_line.main(["list", *words]) == 0
    assert capsys.readouterr().out.startswith("usage: detkit list")


def test_arguments_reach_the_command_and_its_code_comes_back(fake):
    seen: list[str] = []

    def run(arguments: list[str]) -> int:
        seen.extend(arguments)
        return 3

    fake(run)
    assert command_line.main(["train", "a=1", "-m"]) == 3
    assert seen == ["a=1", "-m"]


def test_unknown_command_names_the_nearest(capsys):
    assert command_line.main(["trian"]) == 2
    assert "no command 'trian'. Did you mean 'train'? Commands: train," in capsys.readouterr().err


@pytest.mark.parametrize("error", [UserError("what came"), DataError("what came")], ids=repr)
def test_error_of_the_user_is_one_line(error, fake, capsys):
    fake(raising(error))
    assert command_line.main(["train"]) == 2
    assert capsys.readouterr().err == "error: what came\n"


def test_all_problems_of_a_configuration_are_counted_and_listed(fake, capsys):
    fake(raising(ConfigError(["a: wrong", "b: wrong too"])))
    assert command_line.main(["train"]) == 2
    assert capsys.readouterr().err == (
        "error: the configuration has 2 problems:\n  1. a: wrong\n  2. b: wrong too\n"
    )


def test_single_problem_needs_no_list(fake, capsys):
    fake(raising(ConfigError(["a: wrong"])))
    command_line.main(["train"])
    assert capsys.readouterr().err == "error: a: wrong\n"


def test_error_in_a_half_typed_line_prints_nothing(capsys, monkeypatch):
    def failing(*arguments):
        raise ConfigError(["model: there is no 'nothing'"])

    monkeypatch.setattr(command_line, "complete", failing)
    assert command_line.main(["-sc", "query=bash"]) == 2
    assert capsys.readouterr() == ("", "")


def test_line_with_an_unknown_model_is_completed(capsys, monkeypatch):
    monkeypatch.setenv("COMP_LINE", "detkit train model=nothing trainer.max_ep")
    assert command_line.main(["-sc", "query=bash"]) == 0
    assert capsys.readouterr() == ("trainer.max_epochs=\n", "")


def test_keyboard_interrupt_is_one_line(fake, capsys):
    fake(raising(KeyboardInterrupt()))
    assert command_line.main(["train"]) == 130
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_unexpected_error_keeps_its_traceback(fake):
    fake(raising(ZeroDivisionError("a bug")))
    with pytest.raises(ZeroDivisionError, match="a bug"):
        command_line.main(["train"])


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_heading_is_red_on_a_terminal_only(monkeypatch):
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert command_line.error_text(UserError("x"), Terminal()) == "\033[1;31merror:\033[0m x"
    assert command_line.error_text(UserError("x"), io.StringIO()) == "error: x"
    monkeypatch.setenv("NO_COLOR", "1")
    assert command_line.error_text(UserError("x"), Terminal()) == "error: x"


@pytest.mark.parametrize("words", [["version"], ["--version"]], ids=str)
def test_version_names_the_libraries(words, capsys):
    assert command_line.main(words) == 0
    shown = capsys.readouterr().out.splitlines()
    assert shown[0] == f"detkit {detkit.__version__}"
    assert any(line.startswith("torch 2.") for line in shown)


def test_reader_that_goes_away_is_no_error(tmp_path):
    checkout = str(Path(detkit.__file__).parents[1])
    program = (
        "import sys; from detkit.cli import main as module\n"
        "module.overview = lambda: 'x' * 300000\n"
        "sys.exit(module.main([]))"
    )
    pipe = '"$0" -c "$1" | head -c 1; exit ${PIPESTATUS[0]}'
    done = subprocess.run(
        ["bash", "-c", pipe, sys.executable, program],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": checkout},
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (141, b"x", b"")


@pytest.mark.parametrize("name", ["train", "evaluate", "predict"])
def test_scripts_are_the_commands(name):
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, f"scripts/{name}.py", "--help"],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith(f"usage: detkit {name}")


@pytest.fixture
def collecting(monkeypatch, tmp_path):
    """Record whether the collector is on during an import, and how often it is frozen."""

    def find() -> tuple[bool, int]:
        frozen: list[bool] = []
        monkeypatch.setattr(gc, "freeze", lambda: frozen.append(gc.isenabled()))
        module = command_line.imported("asks_the_collector")
        return module.ENABLED, len(frozen)

    (tmp_path / "asks_the_collector.py").write_text("import gc\nENABLED = gc.isenabled()\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield find
    sys.modules.pop("asks_the_collector", None)


def test_collector_rests_while_a_new_process_imports(collecting, monkeypatch):
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    assert collecting() == (False, 1)
    assert gc.isenabled()


def test_collector_of_a_busy_process_is_unchanged(collecting, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", types.ModuleType("torch"))
    assert collecting() == (True, 0)


def test_collector_that_the_user_has_stopped_stays_so(collecting, monkeypatch):
    monkeypatch.delitem(sys.modules, "torch", raising=False)
    gc.disable()
    try:
        assert collecting() == (False, 0)
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_the_package_runs_as_a_module(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["detkit", "version"])
    with pytest.raises(SystemExit, match="0"):
        runpy.run_module("detkit", run_name="__main__")
    assert capsys.readouterr().out.startswith("detkit ")


def test_a_missing_dependency_is_one_line_that_says_how_to_get_it(fake, capsys) -> None:
    fake(raising(ModuleNotFoundError("No module named 'hydra'", name="hydra.core")))
    assert command_line.main(["train"]) == 2
    printed = capsys.readouterr().err
    assert printed.startswith("error: detkit train needs the package hydra, which is not installed")
    assert "pip install detkit" in printed


def test_a_missing_module_of_others_is_no_user_error(fake) -> None:
    fake(raising(ModuleNotFoundError("No module named 'mine'", name="mine")))
    with pytest.raises(ModuleNotFoundError, match="mine"):
        command_line.main(["train"])
