"""Small faults that a test should notice, made in the syntax tree of a module.

A mutant is named by package, function, kind and ordinal, so it keeps its name when the function
moves to another file of its package or when other functions change.
"""

from __future__ import annotations

import ast
import hashlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

_COMPARISONS = {"Lt": "LtE", "LtE": "Lt", "Gt": "GtE", "GtE": "Gt", "Eq": "NotEq", "NotEq": "Eq"}
_COMPARISONS |= {"Is": "IsNot", "IsNot": "Is", "In": "NotIn", "NotIn": "In"}
_ARITHMETIC = {"Add": "Sub", "Sub": "Add", "Mult": "Div", "Div": "Mult", "FloorDiv": "Mult"}
_ARITHMETIC |= {"Mod": "Mult", "Pow": "Mult", "BitAnd": "BitOr", "BitOr": "BitAnd"}


class Mutant(NamedTuple):
    """One fault: where it is, what it changes, and the changed source of its module."""

    module: str
    function: str
    kind: str
    ordinal: int
    change: str
    source: str

    @property
    def name(self) -> str:
        """Stable under moves within the package: `losses:FocalLoss.forward:constant:0`."""
        return f"{self.module.split('.')[1]}:{self.function}:{self.kind}:{self.ordinal}"

    def rank(self, seed: int) -> str:
        """Sorting by it draws a sample that is the same in two states of the code."""
        return hashlib.sha256(f"{seed}:{self.name}".encode()).hexdigest()


def functions_of(tree: ast.Module) -> Iterator[tuple[str, ast.FunctionDef]]:
    """The functions and methods of a module with qualified names; inner ones belong to these."""
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            yield node.name, node
        elif isinstance(node, ast.ClassDef):
            methods = (member for member in node.body if isinstance(member, ast.FunctionDef))
            yield from ((f"{node.name}.{method.name}", method) for method in methods)


def _fault(node: ast.AST) -> tuple[str, ast.AST] | None:
    """The kind of fault that a node can have, and its faulty form."""
    fault: tuple[str, ast.AST] | None = None
    match node:
        case ast.Compare(left, [operator], right) if type(operator).__name__ in _COMPARISONS:
            other = getattr(ast, _COMPARISONS[type(operator).__name__])()
            fault = "comparison", ast.Compare(left, [other], right)
        case ast.BinOp(left, operator, right) if type(operator).__name__ in _ARITHMETIC:
            other = getattr(ast, _ARITHMETIC[type(operator).__name__])()
            fault = "arithmetic", ast.BinOp(left, other, right)
        case ast.BoolOp(operator, values):
            other = ast.Or() if isinstance(operator, ast.And) else ast.And()
            fault = "boolean", ast.BoolOp(other, values)
        case ast.UnaryOp(ast.Not(), operand):
            fault = "boolean", operand
        case ast.Constant(bool(value)):
            fault = "boolean", ast.Constant(not value)
        case ast.Constant(int(value) | float(value)):
            fault = "constant", ast.Constant(value + 1)
        case ast.Expr(ast.Call()) | ast.AugAssign():
            fault = "removed statement", ast.Pass()
        case ast.Return(ast.expr()):
            fault = "removed return", ast.Return(ast.Constant(None))
    return fault


def _faults(function: ast.FunctionDef) -> Iterator[tuple[ast.AST, str, ast.AST]]:
    """Nodes with a kind and a faulty form; not in annotations, decorators, error messages."""
    skipped: list[ast.AST | None] = [*function.decorator_list, function.returns]
    for node in ast.walk(function):
        if isinstance(node, ast.arg | ast.AnnAssign):
            skipped.append(node.annotation)
        elif isinstance(node, ast.Raise | ast.JoinedStr):
            skipped.append(node)
    untouched = {id(part) for node in skipped if node for part in ast.walk(node)}
    for node in ast.walk(function):
        if id(node) not in untouched and (fault := _fault(node)):
            yield node, *fault


class _Replace(ast.NodeTransformer):
    def __init__(self, node: ast.AST, replacement: ast.AST) -> None:
        self._node, self._replacement = node, replacement

    def visit(self, node: ast.AST) -> ast.AST:
        return self._replacement if node is self._node else self.generic_visit(node)


def mutants_of(module: str, path: Path) -> Iterator[Mutant]:
    """Every mutant of a module, in the order of the file."""
    text = path.read_text(encoding="utf-8")
    for name, function in functions_of(ast.parse(text)):
        ordinals: Counter[str] = Counter()
        for position, (node, kind, _) in enumerate(_faults(function)):
            tree = ast.parse(text)
            faults = list(_faults(dict(functions_of(tree))[name]))
            target, _, replacement = faults[position]
            change = f"{ast.unparse(node)} -> {ast.unparse(replacement)}".replace("\n", " ")
            source = ast.unparse(
                ast.fix_missing_locations(_Replace(target, replacement).visit(tree))
            )
            yield Mutant(module, name, kind, ordinals[kind], change, source)
            ordinals[kind] += 1
