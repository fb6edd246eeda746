"""Imports of each source file, by statements and by strings that name modules."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
_MODULE = re.compile(r"\bdetkit(?:\.[A-Za-z_]\w*)+\.?")


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


SOURCES = {module_name(path): path for path in sorted((ROOT / "detkit").rglob("*.py"))}


@cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


@cache
def nodes_of(tree: ast.AST) -> list[ast.AST]:
    """All nodes of a tree; several tests walk the same trees."""
    return list(ast.walk(tree))


def imported(tree: ast.AST) -> Iterator[tuple[str, str, int]]:
    """(module, imported name, line) of each import; `from detkit import ops` gives detkit.ops."""
    for node in nodes_of(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, "", node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            for alias in node.names:
                submodule = f"{module}.{alias.name}"
                if submodule in SOURCES:
                    yield submodule, "", node.lineno
                else:
                    yield module, alias.name, node.lineno


def own_imports(path: Path) -> list[tuple[str, str, int]]:
    """The imports of detkit's own modules."""
    return [item for item in imported(tree_of(path)) if item[0].split(".")[0] == "detkit"]


def named_modules(tree: ast.AST) -> list[tuple[str, int]]:
    """(module, line) of each of detkit's modules that a string names.

    These are import_module("..."), "module:Class" constants, tables of lazily imported modules,
    and the arguments of `python -m`. The name at the end of an f-string's constant part means
    every module that begins with it. Docstrings and names of loggers name nothing to import.
    """
    prose = {id(string) for node in nodes_of(tree) for string in _prose(node)}
    beginnings = {
        id(part)
        for node in nodes_of(tree)
        if isinstance(node, ast.JoinedStr)
        for part, following in zip(node.values, node.values[1:], strict=False)
        if isinstance(following, ast.FormattedValue)
    }
    return [
        (module, node.lineno)
        for node in nodes_of(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose
        for match in _MODULE.finditer(node.value)
        for module in _modules(match[0], id(node) in beginnings and match.end() == len(node.value))
    ]


def _prose(node: ast.AST) -> list[ast.Constant]:
    """The strings of a node that are text: a docstring, or the name of a logger."""
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
        return [node.value]
    if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "getLogger":
        return [argument for argument in node.args if isinstance(argument, ast.Constant)]
    return []


def _modules(name: str, is_beginning: bool) -> list[str]:
    """The modules that a name in a string may mean; none if it is no module's."""
    if is_beginning:
        return [module for module in SOURCES if module.startswith(name)]
    while name not in SOURCES and "." in name:
        name = name.rpartition(".")[0]
    return [name] if name != "detkit" else []
