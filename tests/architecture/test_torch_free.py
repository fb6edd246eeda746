"""Exported files predict without PyTorch: what that imports, read from the syntax trees."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator

import pytest
from source_imports import SOURCES, tree_of

HEAVY = {"torch", "torchvision", "lightning", "hydra", "omegaconf", "pydantic", "matplotlib"}
# What an environment for exported files holds besides an engine; see docs/python.md.
LIGHT = {"numpy", "PIL", "annotated_types"}
BEGINNINGS = {
    "detkit": LIGHT,
    "detkit.api.loading": LIGHT,
    "detkit.cli.main": LIGHT | {"yaml"},
    "detkit.cli.predict": LIGHT | {"tqdm"},
    # `detkit predict` imports them by name.
    **{module: LIGHT for module in SOURCES if module.startswith("detkit.writers.")},
}


def statements(body: list[ast.stmt]) -> Iterator[ast.Import | ast.ImportFrom]:
    """The imports that run with a module: not in functions, nor for type checkers only."""
    for node in body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node
        elif isinstance(node, ast.If):
            checked = ast.unparse(node.test) == "TYPE_CHECKING"
            yield from statements(node.orelse if checked else [*node.body, *node.orelse])
        elif isinstance(node, ast.ClassDef | ast.Try | ast.With):
            yield from statements(node.body)


def lazy_modules(package: str) -> dict[str, str]:
    """The names that a package imports on first use, and their modules."""
    names = {}
    for call in ast.walk(tree_of(SOURCES[package])):
        if isinstance(call, ast.Call) and getattr(call.func, "id", "") == "lazy_names":
            for module, defined in ast.literal_eval(call.args[1]).items():
                names |= dict.fromkeys(defined, f"{package}.{module}")
    return names


def imports(module: str) -> Iterator[str]:
    for node in statements(tree_of(SOURCES[module]).body):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
            continue
        yield str(node.module)
        lazy = lazy_modules(str(node.module)) if node.module in SOURCES else {}
        for alias in node.names:
            submodule = f"{node.module}.{alias.name}"
            if submodule in SOURCES or alias.name in lazy:
                yield submodule if submodule in SOURCES else lazy[alias.name]


def reached(beginning: str) -> dict[str, str]:
    """Every module that importing one imports, with the module that does so."""
    importers, waiting = {beginning: ""}, [beginning]
    while waiting:
        module = waiting.pop()
        for target in imports(module):
            parts = target.split(".")
            for name in (".".join(parts[:length]) for length in range(1, len(parts) + 1)):
                if name not in importers:
                    importers[name] = module
                    waiting += [name] if name in SOURCES else []
    return importers


@pytest.mark.parametrize("beginning", BEGINNINGS)
def test_exported_files_need_nothing_heavy(beginning):
    importers = reached(beginning)
    standard = {"detkit", *sys.stdlib_module_names}
    packages = {name for name in importers if "." not in name} - standard
    allowed = BEGINNINGS[beginning]
    assert not {f"{importers[name]} imports {name}" for name in packages - allowed}


def test_the_walk_finds_torch_where_it_is_used():
    for module in ("detkit.api.run_backend", "detkit.inference.engines.torch_program"):
        assert HEAVY & reached(module).keys()


def test_names_that_a_package_imports_on_first_use_are_followed():
    assert lazy_modules("detkit.structures")["Detections"] == "detkit.structures.detections"
    assert "torch" in reached("detkit.inference.predictor")


def test_loading_and_measuring_import_no_matplotlib():
    assert "matplotlib" not in reached("detkit.api.evaluation")
