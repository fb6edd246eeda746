"""The commands and the program of docs/ensembles.md run, with runs and exported files."""

import re
import shlex
from dataclasses import replace
from pathlib import Path

import pytest
from exported_files import MODEL, write_data, write_onnx

import detkit
from detkit.cli.main import main
from detkit.inference.merge_methods import METHODS

PAGE = (Path(__file__).parents[2] / "docs/ensembles.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"^detkit (.*)$", PAGE, re.MULTILINE)
PROGRAM = re.search(r"```python\n(.*?)```", PAGE, re.DOTALL)[1]


def words_of(command, names):
    words = shlex.split(command)
    for name, value in names.items():
        words = [re.sub(rf"\b{re.escape(name)}\b", str(value), word) for word in words]
    return words


@pytest.fixture
def folder(tmp_path, monkeypatch):
    pytest.importorskip("onnxruntime")
    monkeypatch.chdir(tmp_path)
    write_onnx(tmp_path / "MODEL.onnx")
    (tmp_path / "PHOTOS").mkdir()
    write_data(tmp_path / "PHOTOS")
    return tmp_path


def test_the_program_runs_without_a_run(folder):
    exec(PROGRAM, names := {})
    assert len(names["results"]) == 2


def test_commands_of_exported_files_run(folder, capsys):
    commands = [c for c in COMMANDS if "MODEL.onnx" in c and "RUN" not in c]
    assert len(commands) == 1
    for command in commands:
        assert main(words_of(command, {})) == 0


@pytest.mark.slow
def test_all_commands_run(folder, tiny_run, capsys):
    assert len(COMMANDS) == 7
    names = {"RUN_B": tiny_run.folder, "RUN": tiny_run.folder}
    write_onnx_of(tiny_run, folder)
    for command in COMMANDS:
        assert main(words_of(command, names)) == 0, command


def write_onnx_of(run, folder):
    """A file whose classes are the run's first ones."""
    classes = detkit.load(run.folder, device="cpu").class_names[:2]
    write_onnx(folder / "MODEL.onnx", replace(MODEL, class_names=classes))


def test_the_table_has_every_method_with_its_defaults():
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \|", PAGE, re.MULTILINE)
    assert [name for name, _ in rows] == list(METHODS)
    for name, text in rows:
        pairs = dict(re.findall(r"`(\w+)` ([\w.]+)", text))
        defaults = {k: v for k, v in METHODS[name].defaults.items() if k != "max_detections"}
        assert pairs == {k: f"{v:g}" if isinstance(v, float) else v for k, v in defaults.items()}
