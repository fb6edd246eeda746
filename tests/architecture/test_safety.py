"""Nothing that a stranger's file could use to run code."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

from source_imports import nodes_of, tree_of

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "detkit").rglob("*.py"))


@cache
def calls() -> list[tuple[str, ast.Call, str]]:
    """Each call in detkit with its file and line, and the function that it names."""
    return [
        (f"{path.relative_to(ROOT)}:{node.lineno}", node, ast.unparse(node.func))
        for path in FILES
        for node in nodes_of(tree_of(path))
        if isinstance(node, ast.Call)
    ]


def keyword(node: ast.Call, name: str) -> str | None:
    return next((ast.unparse(k.value) for k in node.keywords if k.arg == name), None)


def test_checkpoints_are_loaded_as_data():
    wrong = [
        place
        for place, node, function in calls()
        if function == "torch.load" or function.endswith(".load_from_checkpoint")
        if keyword(node, "weights_only") != "True"
    ]
    wrong += [
        place
        for place, node, function in calls()
        if keyword(node, "ckpt_path") is not None and keyword(node, "weights_only") != "True"
    ]
    wrong += [place for place, node, _ in calls() if keyword(node, "weights_only") == "False"]
    assert not wrong  # pain 19


def test_nothing_is_evaluated_or_unpickled():
    wrong = [place for place, _, function in calls() if function in ("eval", "exec", "globals")]
    wrong += [
        place
        for place, _, function in calls()
        if function.split(".")[0] in ("pickle", "dill", "cloudpickle", "marshal", "joblib")
    ]
    assert not wrong


def test_pages_name_parts_and_never_import_paths():
    pages = sorted([*(ROOT / "conf").rglob("*.yaml"), *(ROOT / "plugins").rglob("*.yaml")])
    wrong = [page for page in pages if "_target_" in page.read_text(encoding="utf-8")]
    assert not wrong
    assert not list((ROOT / "conf").rglob("*.yml")), "pages end in .yaml"


def test_target_is_named_only_where_it_is_refused():
    naming = [p.name for p in FILES if '"_target_"' in p.read_text(encoding="utf-8")]
    assert set(naming) <= {"safety.py", "checkpoint_record.py"}
