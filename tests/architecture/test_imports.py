"""Who may import whom, read from the syntax trees of the sources (nothing is imported)."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).parents[2]
BASE = {
    *("detkit", "errors", "image_files", "interfaces", "structures", "registry", "ops"),
    *("text", "files", "version"),
}
PARTS = {
    "backbones",
    "necks",
    "priors",
    "box_coders",
    "assigners",
    "samplers",
    "losses",
    "postprocess",
    "quality_targets",
    "image_sampling",
    "optimizers",
    "schedules",
}
BELOW_ASSEMBLY = {
    *BASE,
    *PARTS,
    *("layers", "heads", "roi_heads", "detectors", "data", "evaluation", "visualization"),
    *("training", "inference", "export", "config", "terminal", "runs", "processes"),
}
# Package -> the packages that it may import besides itself.
ALLOWED: dict[str, set[str]] = {
    "detkit": {"api", "errors", "public_names", "registry", "version"},
    "public_names": set(),
    "errors": set(),
    "image_files": set(),
    "interruption": {"errors"},
    "lasting_output": set(),
    "version": set(),
    "text": set(),
    "files": {"errors"},
    "terminal": set(),
    "plugin_files": {"errors", "files"},
    "registry": {"errors", "plugin_files", "text"},
    "structures": {"errors"},
    "ops": {"errors", "structures"},
    "interfaces": {"structures"},
    "layers": BASE,
    **dict.fromkeys(PARTS, BASE | {"layers"}),
    "heads": BASE | {"layers"},
    "roi_heads": BASE | {"layers"},
    "detectors": BASE,
    "data": BASE | {"terminal", "interruption"},
    "evaluation": BASE,
    "visualization": BASE | {"runs.layout"},
    # Of optimizers only the groups of parameters, which older checkpoints are translated to.
    "training": BASE
    | {"optimizers", "evaluation", "visualization", "terminal", "interruption", "runs"}
    | {"processes"},
    "inference": BASE | {"evaluation", "visualization", "runs"},
    "export": BASE | {"evaluation", "visualization"},
    "config": {"errors", "registry", "plugin_files", "text", "files"}
    | {"runs.layout", "runs.older_config"},
    # The only package that knows the files of a run folder.
    "runs": BASE | {"config", "terminal", "runs.layout", "runs.older_config"},
    "runs.layout": set(),
    "runs.older_config": set(),
    "assembly": BELOW_ASSEMBLY,
    # Where the weights of files meet a detector, which assembly builds.
    "weights": {*BASE, "runs", "assembly"},
    "processes": {"errors", "files", "interruption", "lasting_output", "runs"},
    # The program that the processes run needs everything that a training needs.
    "processes.frozen_training": BELOW_ASSEMBLY | {"assembly", "weights", "interruption"},
    "processes.run_frozen": {*BASE, "processes", "processes.frozen_training", "runs", "training"}
    | {"interruption", "lasting_output"},
    "run_frozen": set(),
    "api": BELOW_ASSEMBLY | {"assembly", "weights", "version"},
    "sweeps": BELOW_ASSEMBLY | {"assembly", "weights", "interruption"},
    "benchmark": BELOW_ASSEMBLY | {"assembly", "processes.frozen_training"},
    "__main__": {"cli"},
    "cli": BELOW_ASSEMBLY
    | {
        "api",
        "assembly",
        "processes.frozen_training",
        "sweeps",
        "benchmark",
        "weights",
        "contracts",
    }
    | {"plugin_files", "interruption", "lasting_output"},
    "contracts": BELOW_ASSEMBLY | {"assembly"},
    # Copied into plugins: `test_plugins_use_only_what_is_public` says what of these packages.
    "plugin_templates": BASE | {"layers", "heads", "priors", "data", "evaluation"},
}
PLUGIN_MAY_IMPORT = {"detkit", "registry", "errors", "interfaces", "structures", "ops", "layers"}


def module_name(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


SOURCES = {module_name(path): path for path in sorted((ROOT / "detkit").rglob("*.py"))}


def package_of(module: str) -> str:
    """The package below detkit, or the module where ALLOWED lists it apart from its package."""
    inside = module.removeprefix("detkit.")
    return inside if inside in ALLOWED else inside.split(".")[0]


def imported(tree: ast.AST) -> Iterator[tuple[str, str, int]]:
    """(module, imported name, line) of each import; `from detkit import ops` gives detkit.ops."""
    for node in ast.walk(tree):
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
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return [found for found in imported(tree) if found[0].split(".")[0] == "detkit"]


def test_each_package_imports_only_what_the_design_allows():
    wrong = []
    for module, path in SOURCES.items():
        package = package_of(module)
        for target, _, line in own_imports(path):
            used = package_of(target)
            if not ALLOWED[package] & {used, used.split(".")[0]} and used != package:
                wrong.append(f"{path.relative_to(ROOT)}:{line} imports {target}")
    assert not wrong, "\n".join(wrong)


def test_no_two_files_import_each_other_in_a_circle():
    graph = {
        module: {target for target, _, _ in own_imports(path) if target != module}
        for module, path in SOURCES.items()
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        raise AssertionError(" -> ".join(reversed(error.args[1]))) from None


def test_imports_are_absolute():
    wrong = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in SOURCES.values()
        for target, _, line in imported(ast.parse(path.read_text(encoding="utf-8")))
        if target.startswith(".")
    ]
    assert not wrong


def test_no_function_imports_detkit():
    wrong = []
    for path in SOURCES.values():
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                inner = [line for target, _, line in imported(node) if target.startswith("detkit")]
                wrong += [f"{path.relative_to(ROOT)}:{line}" for line in inner]
    assert not wrong


def test_nobody_imports_the_internals_of_hydra():
    folders = [ROOT / name for name in ("detkit", "tests", "scripts", "plugins")]
    wrong = [
        f"{path.relative_to(ROOT)}:{line}"
        for folder in folders
        for path in folder.rglob("*.py")
        for target, name, line in imported(ast.parse(path.read_text(encoding="utf-8")))
        if f"{target}.{name}.".startswith("hydra._internal.")
    ]
    assert not wrong


def public_names(module: str) -> set[str]:
    """The literal `__all__` of a module."""
    if module not in SOURCES:
        return set()
    for node in ast.parse(SOURCES[module].read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
            return set(ast.literal_eval(node.value))
    return set()


def test_plugins_use_only_what_is_public():
    wrong = [
        f"{path.relative_to(ROOT)}:{line} imports {name} of {target}"
        for folder in ("plugins", "detkit/plugin_templates")
        for path in (ROOT / folder).rglob("*.py")
        for target, name, line in own_imports(path)
        if package_of(target) not in PLUGIN_MAY_IMPORT and name not in public_names(target)
    ]
    assert not wrong, "\n".join(wrong)
