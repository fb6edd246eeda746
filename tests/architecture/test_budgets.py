"""Sizes and words that STYLE.md asks for, read from the syntax trees."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from source_imports import nodes_of, tree_of

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "detkit").rglob("*.py"))
TREES = {path: tree_of(path) for path in FILES}
FORBIDDEN_WORDS = {
    *("cfg", "bbox", "bboxes", "cls", "reg", "gt", "gts", "pred", "preds", "idx", "tmp"),
    *("util", "utils", "misc", "helper", "helpers", "manager"),
}
# Lightning and Hydra pass them by keyword.
NAMES_OF_OTHERS = {"batch_idx", "dataloader_idx", "initial_job_idx"}


def where(path: Path, node: ast.AST) -> str:
    return f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 1)}"


def lines_of(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def functions() -> Iterator[tuple[Path, ast.FunctionDef | ast.AsyncFunctionDef]]:
    for path, tree in TREES.items():
        for node in nodes_of(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield path, node


def test_no_file_has_more_than_300_lines():
    sizes = {str(path.relative_to(ROOT)): lines_of(path) for path in FILES}
    # All contracts are on one page, where everybody finds them.
    assert sizes.pop("detkit/interfaces.py") <= 405
    assert not {path: lines for path, lines in sizes.items() if lines > 300}


def test_the_median_file_has_120_lines_or_fewer():
    assert median(n for path in FILES if (n := lines_of(path))) <= 120


def test_no_function_has_more_than_50_lines():
    long = [
        f"{where(path, node)} {node.name}: {length}"
        for path, node in functions()
        if (length := (node.end_lineno or 0) - node.lineno + 1) > 50
    ]
    assert not long


def test_test_files_have_different_names():
    names = [path.name for path in (ROOT / "tests").rglob("test_*.py")]
    assert sorted(names) == sorted(set(names))


def defined_names(tree: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    """Every name that a file makes up itself; `cls` of a class method is Python's own."""
    class_arguments = {
        id(node.args.args[0])
        for node in nodes_of(tree)
        if isinstance(node, ast.FunctionDef)
        and any(ast.unparse(decorator) == "classmethod" for decorator in node.decorator_list)
    }
    for node in nodes_of(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node.name, node
        elif isinstance(node, ast.arg) and id(node) not in class_arguments:
            yield node.arg, node
        elif isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.id if isinstance(node, ast.Name) else node.attr, node


def words(name: str) -> set[str]:
    return {word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name)}


def test_names_are_whole_words():
    named = [(path.stem, path, tree) for path, tree in TREES.items()]
    named += [
        (name, path, node) for path, tree in TREES.items() for name, node in defined_names(tree)
    ]
    wrong = [
        f"{where(path, node)} {name}"
        for name, path, node in named
        if words(name) & FORBIDDEN_WORDS and name not in NAMES_OF_OTHERS
    ]
    assert not wrong, "\n".join(wrong)


def test_only_the_command_line_prints():
    wrong = [
        where(path, node)
        for path, tree in TREES.items()
        if path.parent.name not in {"cli", "processes"}  # both are command lines
        for node in nodes_of(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "print"
    ]
    assert not wrong


def test_errors_are_raised_not_asserted():
    wrong = [
        where(path, node)
        for path, tree in TREES.items()
        for node in nodes_of(tree)
        if isinstance(node, ast.Assert)
    ]
    assert not wrong


def test_no_default_is_mutable():
    wrong = [
        f"{where(path, node)} {node.name}"
        for path, node in functions()
        for default in [*node.args.defaults, *node.args.kw_defaults]
        if isinstance(default, ast.List | ast.Dict | ast.Set)
    ]
    assert not wrong
