"""The cells of examples/predict.ipynb run in order, in one namespace, without Jupyter."""

import ast
import json
from pathlib import Path

import pytest

import detkit

NOTEBOOK = Path(__file__).parents[2] / "examples/predict.ipynb"
CELLS = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
CODE = [cell for cell in CELLS if cell["cell_type"] == "code"]


@pytest.fixture
def folder(tiny_run: detkit.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with a run as `make demo` names it."""
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs/2026-01-02_03-04-05_demo").symlink_to(tiny_run.folder)
    monkeypatch.chdir(tmp_path)


def display(names: dict, source: str) -> object:
    """Run a cell and return the value of its last line, which Jupyter displays."""
    *statements, last = ast.parse(source).body
    exec(compile(ast.Module(statements, []), str(NOTEBOOK), "exec"), names)
    return eval(compile(ast.Expression(last.value), str(NOTEBOOK), "eval"), names)


@pytest.mark.slow
def test_every_cell_runs_in_order(folder):
    names: dict = {}
    displayed = [display(names, "".join(cell["source"])) for cell in CODE]
    assert isinstance(displayed[0], detkit.Detector)
    assert len(displayed[2]) == len(names["batch"])
    assert displayed[3].width > 0
    assert set(displayed[4]) == {"AP", "AP50", "AR100"}


def test_the_notebook_is_committed_without_outputs():
    assert all(cell["outputs"] == [] and cell["execution_count"] is None for cell in CODE)
