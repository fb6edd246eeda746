"""The commands of docs/predict.md run, with an exported file and with a run."""

import re
import shlex
from pathlib import Path

import pytest
from exported_files import write_data, write_onnx

from detkit import registry
from detkit.cli.main import main
from detkit.cli.predict_settings import SEPARATE

TEXT = (Path(__file__).parents[2] / "docs/predict.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
LINES = [line for language, block in BLOCKS if not language for line in block.splitlines()]
COMMANDS = [line for line in LINES if line.startswith("detkit ")]


def run_all(names: dict[str, str]) -> None:
    for line in dict.fromkeys(COMMANDS):
        _, *words = shlex.split(line)
        for name, value in names.items():
            words = [word.replace(name, value) for word in words]
        assert main(words) == 0, line


def test_commands_run_with_an_exported_file(tmp_path, monkeypatch, capsys):
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    monkeypatch.chdir(tmp_path)
    write_onnx(tmp_path / "model.onnx")
    (tmp_path / "photos").mkdir()
    write_data(tmp_path / "photos")
    assert len(COMMANDS) == 8
    run_all({"RUN": "model.onnx", "MODEL.onnx": "model.onnx", "PHOTOS": "photos"})


@pytest.mark.slow
def test_commands_run_with_a_run(work, photos, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_onnx(tmp_path / "model.onnx")
    names = {"RUN": str(work / "first"), "MODEL.onnx": "model.onnx", "PHOTOS": str(photos)}
    run_all({**names, "[cat,dog]": "[circle,cross]"})


def test_the_table_lists_every_format():
    listed = re.findall(r"^\| `(\w+)`", TEXT, re.MULTILINE)
    builtin = [n for n in registry.names("writer") if registry.part("writer", n).origin == "detkit"]
    assert sorted(listed) == builtin


def test_settings_in_sentences_are_options_of_the_command():
    named = set(re.findall(r"`([a-z_]+)=", TEXT)) - {"format"}
    assert named <= set(SEPARATE)
