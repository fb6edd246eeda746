"""Allowed imports between packages, read from syntax trees (nothing is imported).

A string that names a module counts as an import.
"""

from __future__ import annotations

import ast
from functools import cache
from graphlib import CycleError, TopologicalSorter

import pytest
from source_imports import (
    ROOT,
    SOURCES,
    imported,
    named_modules,
    nodes_of,
    own_imports,
    tree_of,
)

BASE = {
    *("detkit", "errors", "image_files", "interfaces", "structures", "registry", "ops"),
    *("text", "files", "version", "pixels", "lazy_names"),
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
    "writers",
}
BELOW_ASSEMBLY = {
    *BASE,
    *PARTS,
    *("layers", "heads", "roi_heads", "detectors", "data", "evaluation", "visualization"),
    *("training", "inference", "export", "config", "terminal", "runs", "processes"),
    *("network_summary", "remote", "video"),
}
# Package -> the packages that it may import besides itself.
ALLOWED: dict[str, set[str]] = {
    "detkit": {"api", "data", "errors", "public_names", "registry", "version"},
    "public_names": {"errors"},
    "errors": set(),
    "image_files": set(),
    "interruption": {"errors"},
    "lasting_output": set(),
    "version": set(),
    "text": set(),
    "lazy_names": set(),
    "files": {"errors"},
    "terminal": set(),
    "plugin_files": {"errors", "files"},
    "registry": {"errors", "explicit_arguments", "plugin_files", "text", "unsupported_parts"},
    "unsupported_parts": set(),
    "explicit_arguments": {"errors"},
    "structures": {"errors", "lazy_names"},
    "pixels": {"errors", "image_files"},
    "ops": {"errors", "structures"},
    "interfaces": {"structures"},
    "layers": BASE,
    **dict.fromkeys(PARTS, BASE | {"layers"}),
    "heads": BASE | {"layers"},
    "roi_heads": BASE | {"layers"},
    "detectors": BASE | {"detectors.base"},
    "detectors.base": BASE,
    "detectors.freezing": BASE | {"detectors.base"},
    "data": BASE | {"public_names", "terminal", "interruption", "config.blocks"},
    "evaluation": BASE,
    "network_summary": BASE,
    "visualization": BASE | {"runs.layout"},
    # Of optimizers only the groups of parameters, which older checkpoints are translated to.
    "training": BASE
    | {"optimizers", "evaluation", "visualization", "terminal", "interruption", "runs"}
    | {"processes", "detectors.base", "detectors.freezing"},
    "inference": BASE | {"evaluation", "visualization", "runs", "detectors.base", "remote"},
    "export": BASE | {"evaluation", "visualization", "inference"},
    "video": BASE,
    "config": {"errors", "registry", "plugin_files", "text", "files"}
    | {"runs.layout", "unsupported_parts", "config.blocks"},
    "config.blocks": {"registry"},
    # The only package that knows the files of a run folder.
    "runs": BASE | {"config", "terminal", "runs.layout", "runs.older_config", "remote"},
    # Models of the Hugging Face hub and of Weights & Biases.
    "remote": {"errors", "files", "text", "runs.layout"},
    "runs.layout": set(),
    "runs.older_config": {"config"},
    "published_values": {"heads"},
    "assembly": BELOW_ASSEMBLY | {"published_values"},
    # Where the weights of files meet a detector, which assembly builds.
    "weights": {*BASE, "runs", "assembly", "detectors.freezing", "terminal", "remote"},
    "processes": {"errors", "files", "interruption", "lasting_output", "runs"},
    # The program that the processes run needs everything that a training needs.
    "processes.frozen_training": BELOW_ASSEMBLY | {"assembly", "weights", "interruption"},
    "processes.run_frozen": {*BASE, "processes", "processes.frozen_training", "runs", "training"}
    | {"interruption", "lasting_output", "tuning"},
    "run_frozen": set(),
    "api": BELOW_ASSEMBLY
    | {"assembly", "weights", "version", "interruption", "processes.frozen_training"}
    | {"public_names", "tuning"},
    "integrations": {"api", "errors"},
    "sweeps": BELOW_ASSEMBLY | {"assembly", "weights", "interruption"},
    "benchmark": BELOW_ASSEMBLY | {"assembly", "processes.frozen_training"},
    "tuning": BELOW_ASSEMBLY | {"assembly", "processes.frozen_training", "benchmark", "sweeps"},
    "__main__": {"cli"},
    "cli": BELOW_ASSEMBLY
    | {
        "api",
        "assembly",
        "processes.frozen_training",
        "sweeps",
        "benchmark",
        "tuning",
        "weights",
        "contracts",
    }
    | {"plugin_files", "interruption", "lasting_output"},
    "contracts": BELOW_ASSEMBLY | {"assembly"},
    # Copied into plugins: `test_plugins_use_only_what_is_public` says what of these packages.
    "plugin_templates": BASE | {"layers", "heads", "priors", "data", "evaluation", "export"},
}
# Modules above the rest of their package: who may import the package may not import them as well.
PROGRAMS = {"processes.frozen_training", "processes.run_frozen"}
PLUGIN_MAY_IMPORT = {"detkit", "registry", "errors", "interfaces", "structures", "ops", "layers"}


# Modules that may be named in a string although their import as a statement would break a rule:
# (the module that names them, what their names begin with) -> the reason.
INTENDED_NAMES = {
    ("detkit.config.root", "detkit.data.detection_data"): (
        "the keys of `data` are the arguments of a class that needs PyTorch; the configuration "
        "imports it only when it checks them"
    ),
    ("detkit.config.root", "detkit.inference.tiling"): (
        "the keys of `tiling` are the fields of a class of another layer; the configuration "
        "imports it only when it checks them"
    ),
    ("detkit.config.root", "detkit.inference.augmented_views"): (
        "the keys of `tta` are the fields of a class of another layer; the configuration "
        "imports it only when it checks them"
    ),
    ("detkit.", "detkit.processes.run_frozen"): (
        "`python -m` starts the training of a frozen run in a process of its own"
    ),
    ("detkit.public_names", "detkit.api."): "`import detkit` stays fast; names load on first use",
    ("detkit.inference.engines.opening", "detkit.inference.engines.torch_program"): (
        "files of onnxruntime and OpenVINO run without torch"
    ),
    ("detkit.cli.", "detkit.cli."): "a command is imported by its name, so that help stays fast",
}


def package_of(module: str) -> str:
    """The package below detkit, or the module where ALLOWED lists it apart from its package."""
    inside = module.removeprefix("detkit.")
    return inside if inside in ALLOWED else inside.split(".")[0]


def intended(module: str, target: str) -> bool:
    return any(
        module.startswith(source) and target.startswith(start) for source, start in INTENDED_NAMES
    )


@cache
def dependencies(module: str) -> list[tuple[str, int]]:
    """(module, line) of all that a module imports, by statement or by name."""
    path = SOURCES[module]
    statements = [(target, line) for target, _, line in own_imports(path)]
    names = [
        (target, line)
        for target, line in named_modules(tree_of(path))
        if not intended(module, target)
    ]
    return [(target, line) for target, line in (*statements, *names) if target != module]


def test_each_package_imports_only_what_the_design_allows():
    wrong = []
    for module, path in SOURCES.items():
        package = package_of(module)
        for target, line in dependencies(module):
            used = package_of(target)
            names = {used} if used in PROGRAMS else {used, used.split(".")[0]}
            if not ALLOWED[package] & names and used != package:
                wrong.append(f"{path.relative_to(ROOT)}:{line} imports {target}")
    assert not wrong, "\n".join(wrong)


def test_no_two_files_import_each_other_in_a_circle():
    graph = {module: {target for target, _ in dependencies(module)} for module in SOURCES}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        raise AssertionError(" -> ".join(reversed(error.args[1]))) from None


def test_each_intended_name_is_still_used():
    used = {
        (module, target)
        for module, path in SOURCES.items()
        for target, _ in named_modules(tree_of(path))
    }
    unused = [
        (source, start)
        for source, start in INTENDED_NAMES
        if not any(m.startswith(source) and t.startswith(start) for m, t in used)
    ]
    assert not unused


@pytest.mark.parametrize(
    "text",
    [
        'import_module("detkit.sweeps.page_table")',
        'PAIRS = (("detkit.sweeps.page_table", "write"),)',
        'BLOCK = Block("detkit.sweeps.page_table:Page")',
        'COMMAND = [executable, "-m", "detkit.sweeps.page_table"]',
        'NODE = {"_target_": "detkit.sweeps.page_table.Page"}',
        'SHELL = f"python -m detkit.sweeps.page_table {folder}"',
        'import_module(f"detkit.sweeps.page_{kind}")',
    ],
)
def test_a_module_that_a_string_names_is_seen(text, monkeypatch):
    monkeypatch.setitem(SOURCES, "detkit.sweeps.page_table", ROOT)
    assert named_modules(ast.parse(text)) == [("detkit.sweeps.page_table", 1)]


def test_docstrings_and_loggers_name_no_import():
    text = "'''See detkit.registry.'''\nLOG = logging.getLogger(\"detkit.sweeps\")"
    assert named_modules(ast.parse(text)) == []


def test_imports_are_absolute():
    wrong = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in SOURCES.values()
        for target, _, line in imported(tree_of(path))
        if target.startswith(".")
    ]
    assert not wrong


def test_no_function_imports_detkit():
    wrong = []
    for path in SOURCES.values():
        for node in nodes_of(tree_of(path)):
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
        for target, name, line in imported(tree_of(path))
        if f"{target}.{name}.".startswith("hydra._internal.")
    ]
    assert not wrong


def public_names(module: str) -> set[str]:
    """The literal `__all__` of a module."""
    if module not in SOURCES:
        return set()
    for node in tree_of(SOURCES[module]).body:
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
