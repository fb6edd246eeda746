"""Count vague names: participles and pronouns that do not say what a variable holds.

    python scripts/names.py                prints a table of the packages of detkit
    python scripts/names.py --list         also prints each function with such names
    python scripts/names.py --list data    prints one package's functions
    python scripts/names.py --limit 3      exits with 1 above 3 names per 100 functions

A name counts once for each function that has it as an argument or assigns to it. Names in a nested
function count for the enclosing function as well.
"""

from __future__ import annotations

import argparse
import ast
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
LIMIT = 5.0  # names per 100 functions; torchtune and supervision have 2.4, timm 0.4
VAGUE = {
    *("found", "given", "known", "said", "told", "kept", "left", "written", "chosen", "taken"),
    *("wanted", "shown", "each", "one", "own", "others", "rest", "mine", "what", "why"),
    *("place", "places", "thing", "things"),
}

Function = ast.FunctionDef | ast.AsyncFunctionDef


class VagueFunction(NamedTuple):
    """A function with its vague names, which may be none.

    Attributes:
        package: The package or module directly below detkit.
        location: File, line and name of the function.
        names: Its vague names in alphabetical order.
    """

    package: str
    location: str
    names: list[str]


def local_names(function: Function) -> set[str]:
    """The arguments of a function and the names that it assigns to."""
    arguments = function.args
    named = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
    starred = [argument for argument in (arguments.vararg, arguments.kwarg) if argument]
    stored = {
        node.id
        for node in ast.walk(function)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    }
    return stored | {argument.arg for argument in [*named, *starred]}


def measure(folder: Path = ROOT / "detkit") -> list[VagueFunction]:
    """Read every function below a folder."""
    functions = []
    for path in sorted(folder.rglob("*.py")):
        package = path.relative_to(folder).parts[0]
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, Function):
                location = f"{path.relative_to(folder.parent)}:{node.lineno} {node.name}"
                names = sorted(local_names(node) & VAGUE)
                functions.append(VagueFunction(package, location, names))
    return functions


def rate(functions: list[VagueFunction]) -> float:
    """Vague names per 100 functions."""
    return 100 * sum(len(function.names) for function in functions) / max(len(functions), 1)


def table(functions: list[VagueFunction]) -> str:
    """A line for each package, the highest rate first, and one for the total."""
    packages: dict[str, list[VagueFunction]] = defaultdict(list)
    for function in functions:
        packages[function.package].append(function)
    rows = sorted(packages.items(), key=lambda row: rate(row[1]), reverse=True)
    lines = [f"{'package':24} {'vague names':>11} {'functions':>9} {'per 100':>7}"]
    for package, members in [*rows, ("total", functions)]:
        count = sum(len(function.names) for function in members)
        lines.append(f"{package:24} {count:11} {len(members):9} {rate(members):7.1f}")
    return "\n".join(lines)


def main(arguments: list[str] | None = None) -> int:
    """Print the table; 1 if the total is above the limit."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--list", nargs="?", const="", metavar="PACKAGE", help="name the functions")
    parser.add_argument("--limit", type=float, default=LIMIT, help="per 100 functions (5.0)")
    options = parser.parse_args(arguments)
    functions = measure()
    if options.list is not None:
        for function in functions:
            if function.names and options.list in ("", function.package):
                print(f"{function.location}: {', '.join(function.names)}")
        print()
    print(table(functions))
    return int(rate(functions) > options.limit)


if __name__ == "__main__":
    raise SystemExit(main())
