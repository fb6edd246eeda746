"""Only `detkit.runs` spells the name of a file or folder of a run."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from source_imports import nodes_of, tree_of

from detkit.runs import layout

PACKAGE = Path(layout.__file__).parents[1]
NAMES = {value for value in vars(layout).values() if isinstance(value, str) and "\n" not in value}
# Ordinary words, which name a folder of a run only where a path is put together.
FOLDERS = {name for name in NAMES if name.isidentifier()}
FILES = re.compile("|".join(rf"(?<![\w.-]){re.escape(n)}(?!\w|\.\w)" for n in NAMES - FOLDERS))
# The pictures of a data check, and the end of the name of a GPU's lock file.
ELSEWHERE = {
    "detkit/cli/data_check.py": "pictures",
    "detkit/sweeps/jobs/gpu_reservations.py": ".lock",
}


def prose(tree: ast.AST) -> Iterator[ast.Constant]:
    """Docstrings, and the help of commands, which is read without running any code."""
    for node in nodes_of(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list) and body and isinstance(body[0], ast.Expr):
            yield from (n for n in [body[0].value] if isinstance(n, ast.Constant))
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "HELP":
            yield from (n for n in ast.walk(node.value) if isinstance(n, ast.Constant))


def names_of_run_files(tree: ast.Module) -> list[tuple[int, str]]:
    exempt = {id(node) for node in prose(tree)}
    paths = {
        id(node.right)
        for node in nodes_of(tree)
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div)
    }
    return [
        (node.lineno, node.value)
        for node in nodes_of(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in exempt
        if FILES.search(node.value) or (node.value in FOLDERS and id(node) in paths)
    ]


def test_only_runs_knows_the_files_of_a_run_folder():
    wrong = [
        f"{file}:{line} {name!r}"
        for path in sorted(PACKAGE.rglob("*.py"))
        if not path.is_relative_to(PACKAGE / "runs")
        for line, name in names_of_run_files(tree_of(path))
        if ELSEWHERE.get(file := str(path.relative_to(PACKAGE.parent))) != name
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    "source",
    ['x = "last.ckpt"', 'x = f"{run}/metrics.csv"', 'x = run / "checkpoints"', 'x = "a/.lock"'],
)
def test_a_name_is_noticed(source):
    assert len(names_of_run_files(ast.parse(source))) == 1


@pytest.mark.parametrize(
    "source", ['"""See metrics.csv."""', 'HELP = "last.ckpt"', 'x = "pictures"', 'x = "sweep.lock"']
)
def test_prose_and_ordinary_words_are_no_names(source):
    assert names_of_run_files(ast.parse(source)) == []
