"""Read constructors from their source text, without importing them; for completion.

`detkit.config.signatures` reads the same from imported classes, which takes seconds because they
import PyTorch.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from detkit import plugin_files, registry

_Definition = ast.ClassDef | ast.FunctionDef


@dataclass(frozen=True)
class StaticArgument:
    """One argument of a constructor, read from its source.

    Attributes:
        name: Its name, which is its key in YAML.
        family: The family of the parts that it takes, or None.
        default: The name of the part that it takes unless another one is named.
        by_label: Whether it takes parts by label.
        block: `module:Class` whose keys it holds, or None.
        values: Its values if they can be listed: booleans, literals, null.
        space: Spaces that a loss in the slot may work on; empty for all other slots.
    """

    name: str
    family: str | None = None
    default: str | None = None
    by_label: bool = False
    block: str | None = None
    values: tuple[str, ...] = ()
    space: tuple[str, ...] = ()


@cache
def part_files() -> dict[tuple[str, str], Path]:
    """The file of each part by family and name, parts of plugins included; imports none."""
    files = {
        (family, name): registry.part(family, name).file
        for family in registry.FAMILIES
        for name in registry.names(family)
    }
    for plugin in plugin_files.discover():
        if plugin.path is not None:
            paths = [plugin.path] if plugin.path.is_file() else sorted(plugin.path.rglob("*.py"))
            for path in paths:
                files.update(dict.fromkeys(registry.registered_in(path), path))
    return files


@cache
def part_arguments(family: str, name: str) -> dict[str, StaticArgument]:
    """The arguments of a part that a configuration may set; empty for an unknown part."""
    tree, node = _part(family, name)
    return {} if node is None else _arguments(tree, node)


@cache
def part_space(family: str, name: str) -> str | None:
    """The space that a loss works on, such as `boxes`; None if its source does not state it."""
    _, node = _part(family, name)
    for inner in node.body if isinstance(node, ast.ClassDef) else ():
        value = getattr(inner, "value", None)
        targets = (
            inner.targets if isinstance(inner, ast.Assign) else [getattr(inner, "target", inner)]
        )
        if any(_text(target) == "space" for target in targets) and isinstance(value, ast.Constant):
            return str(value.value)
    return None


def _part(family: str, name: str) -> tuple[ast.Module, _Definition | None]:
    file = part_files().get((family, name))
    tree = ast.Module([], []) if file is None else _parsed(file)
    for node in ast.walk(tree):
        if isinstance(node, _Definition) and _registers(node, family, name):
            return tree, node
    return tree, None


@cache
def block_arguments(constructor: str) -> dict[str, StaticArgument]:
    """The arguments of a class written as `module:Class`."""
    module, _, name = constructor.partition(":")
    tree, node = _definition(module, name)
    is_whole = tree is not None and isinstance(node, _Definition)
    return _arguments(tree, node) if is_whole else {}  # type: ignore[arg-type]


def _arguments(tree: ast.Module, node: _Definition) -> dict[str, StaticArgument]:
    arguments = (_argument(tree, name, hint) for name, hint in _hints(tree, node))
    return {argument.name: argument for argument in arguments if argument is not None}


def _hints(tree: ast.Module, node: _Definition) -> Iterator[tuple[str, ast.expr]]:
    """(name, annotation) of the arguments of a function, a class or a dataclass."""
    if isinstance(node, ast.ClassDef):
        for inner in node.body:
            if isinstance(inner, ast.FunctionDef) and inner.name == "__init__":
                yield from _hints(tree, inner)
                return
        for base in node.bases:
            owner, parent = _named(tree, base)
            if owner is not None and isinstance(parent, ast.ClassDef):
                yield from _hints(owner, parent)
        for inner in node.body:
            if isinstance(inner, ast.AnnAssign) and isinstance(inner.target, ast.Name):
                yield inner.target.id, inner.annotation
        return
    for argument in (*node.args.args, *node.args.kwonlyargs):
        if argument.annotation is not None:
            yield argument.arg, argument.annotation


def _argument(tree: ast.Module, name: str, hint: ast.expr) -> StaticArgument | None:
    """Parse an annotation; None if assembly fills in the argument."""
    if isinstance(hint, ast.Subscript) and _text(hint.value) == "Wired":
        return None
    for call in (node for node in ast.walk(hint) if isinstance(node, ast.Call)):
        words = [arg.value for arg in call.args if isinstance(arg, ast.Constant)]
        if _text(call.func) == "Slot" and words:
            labels = "dict[" in ast.unparse(hint)
            default = str(words[1]) if len(words) > 1 else None
            spaces = [keyword.value for keyword in call.keywords if keyword.arg == "space"]
            texts = [n.value for s in spaces for n in ast.walk(s) if isinstance(n, ast.Constant)]
            return StaticArgument(
                name, str(words[0]), default, labels, space=tuple(map(str, texts))
            )
        if _text(call.func) == "Block" and words:
            return StaticArgument(name, block=str(words[0]))
    return StaticArgument(name, values=tuple(dict.fromkeys(_values(tree, hint, 0))))


def _values(tree: ast.Module, hint: ast.expr, depth: int) -> Iterator[str]:
    """The values that a type lists; type names are resolved in their modules."""
    if isinstance(hint, ast.BinOp):
        yield from _values(tree, hint.left, depth)
        yield from _values(tree, hint.right, depth)
    elif isinstance(hint, ast.Constant) and hint.value is None:
        yield "null"
    elif isinstance(hint, ast.Subscript) and _text(hint.value) == "Literal":
        inner = hint.slice.elts if isinstance(hint.slice, ast.Tuple) else [hint.slice]
        for value in (item.value for item in inner if isinstance(item, ast.Constant)):
            yield str(value).lower() if isinstance(value, bool) else str(value)
    elif isinstance(hint, ast.Name) and hint.id == "bool":
        yield from ("true", "false")
    elif isinstance(hint, ast.Name) and depth < 3:  # noqa: PLR2004  # aliases of aliases
        owner, alias = _named(tree, hint)
        if owner is not None and isinstance(alias, ast.expr):
            yield from _values(owner, alias, depth + 1)


def _named(tree: ast.Module, name: ast.expr) -> tuple[ast.Module | None, ast.AST | None]:
    """Resolve a name to its definition or alias, and to the module that contains it."""
    identifier = _text(name)
    for node in tree.body:
        if isinstance(node, _Definition) and node.name == identifier:
            return tree, node
        if isinstance(node, ast.Assign) and any(_text(to) == identifier for to in node.targets):
            return tree, node.value
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("detkit."):
            for imported in node.names:
                if (imported.asname or imported.name) == identifier:
                    return _definition(str(node.module), imported.name)
    return None, None


def _definition(module: str, name: str) -> tuple[ast.Module | None, ast.AST | None]:
    file = Path(__file__).parents[2].joinpath(*module.split(".")[1:])
    paths = (file.with_suffix(".py"), file / "__init__.py")
    tree = next((_parsed(path) for path in paths if path.is_file()), None)
    return (None, None) if tree is None else _named(tree, ast.Name(name))


@cache
def _parsed(file: Path) -> ast.Module:
    try:
        return ast.parse(file.read_text(encoding="utf-8"))
    except (OSError, SyntaxError, UnicodeDecodeError):
        return ast.Module([], [])


def _registers(node: _Definition, family: str, name: str) -> bool:
    for call in node.decorator_list:
        if isinstance(call, ast.Call) and _text(call.func).endswith("register"):
            words = [arg.value for arg in call.args if isinstance(arg, ast.Constant)]
            if words == [family, name]:
                return True
    return False


def _text(node: ast.AST) -> str:
    return node.id if isinstance(node, ast.Name) else getattr(node, "attr", "")
