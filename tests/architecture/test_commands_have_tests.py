"""Every command of `detkit`, with its verbs, is run by a test."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
from source_imports import nodes_of, tree_of

from detkit.cli.main import COMMANDS, VERBS

TESTS = sorted(Path(__file__).parents[1].rglob("test_*.py"))
ALL = [*COMMANDS, *(f"{command} {verb}" for command, verbs in VERBS.items() for verb in verbs)]


def first_words(call: ast.Call) -> Iterator[str]:
    """The literal words that a call starts with."""
    for argument in call.args:
        if not isinstance(argument, ast.List | ast.Tuple):
            continue
        words = []
        for element in argument.elts:
            if not isinstance(element, ast.Constant):
                break
            words.append(str(element.value))
        if words:
            yield " ".join(words[:2])


def run_by(path: Path) -> set[str]:
    """The commands that a test file runs with `main([...])`, each with its verb if it has one."""
    commands = set()
    for node in nodes_of(tree_of(path)):
        if isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] == "main":
            for words in first_words(node):
                command = words.split(" ")[0]
                commands.add(words if words in ALL else command)
    return commands


@pytest.fixture(scope="module")
def commands() -> set[str]:
    return set().union(*map(run_by, TESTS))


@pytest.mark.parametrize("command", ALL)
def test_a_test_runs_the_command(command: str, commands: set[str]) -> None:
    words = ", ".join(f'"{word}"' for word in command.split())
    assert command in commands, (
        f"no test runs `detkit {command}`: write one in tests/cli that calls main([{words}, ...])"
    )


def test_a_command_without_a_test_is_noticed(tmp_path: Path) -> None:
    file = tmp_path / "test_some.py"
    file.write_text('def test_it():\n    main(["data", "check", "DATA"])\n    print(["plan"])\n')
    assert run_by(file) == {"data check"}
