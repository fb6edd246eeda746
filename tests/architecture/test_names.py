"""Names that do not say what they hold stay below STYLE.md's limit (scripts/names.py)."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts" / "names.py"
CEILING = 5.0  # names per 100 functions; never raise it


@pytest.fixture(scope="module")
def names():
    spec = importlib.util.spec_from_file_location("names_script", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def write(folder, text):
    (folder / "detkit" / "data").mkdir(parents=True)
    (folder / "detkit" / "data" / "module.py").write_text(text)
    return folder / "detkit"


def test_detkit_is_below_the_ceiling(names, capsys):
    assert names.main([f"--limit={CEILING}"]) == 0, capsys.readouterr().out


def test_arguments_and_assignments_count(names, tmp_path):
    folder = write(tmp_path, "def f(found, *others, x):\n    said = [x for each in x]\n")
    (function,) = names.measure(folder)
    assert function.names == ["each", "found", "others", "said"]
    assert function.location == "detkit/data/module.py:1 f"


def test_the_rate_is_per_hundred_functions(names, tmp_path):
    text = "def f(kept): ...\ndef g(boxes): ...\n"
    assert names.rate(names.measure(write(tmp_path, text))) == 50


def test_a_rate_above_the_limit_is_an_exit_code(names, monkeypatch):
    function = names.VagueFunction("data", "detkit/data/module.py:1 f", ["found"])
    monkeypatch.setattr(names, "measure", lambda: [function])
    assert names.main(["--limit=99"]) == 1


def test_the_list_names_functions(names, monkeypatch, capsys):
    function = names.VagueFunction("data", "detkit/data/module.py:1 f", ["found"])
    monkeypatch.setattr(names, "measure", lambda: [function])
    names.main(["--list", "data"])
    assert "detkit/data/module.py:1 f: found\n" in capsys.readouterr().out
