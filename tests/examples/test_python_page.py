"""The blocks of docs/python.md run, in order, in a folder as the page describes it."""

import re
from pathlib import Path

import pytest
from exported_files import write_onnx

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
PAGE = Path(__file__).parents[2] / "docs/python.md"
TEXT = PAGE.read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)


@pytest.fixture
def folder(tiny_run, photos, tmp_path, monkeypatch):
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs/mine").symlink_to(tiny_run.folder)
    (tmp_path / "photos").symlink_to(photos)
    write_onnx(tmp_path / "mine.onnx")
    monkeypatch.chdir(tmp_path)


@pytest.mark.slow
@pytest.mark.usefixtures("blank_figures")
def test_every_block_runs_in_order(folder, capsys):
    names = {"__name__": "python_page"}
    for number, block in enumerate(BLOCKS):
        lines_before = TEXT[: TEXT.index(block)].count("\n")
        exec(compile("\n" * lines_before + block, f"{PAGE}, block {number}", "exec"), names)
    output = capsys.readouterr().out
    assert "expected uint8 from 0 to 255" in output
    assert "Did you mean 'learning_rate'?" in output
    assert Path("a_detected.png").is_file()
    assert Path("runs/new/checkpoints/best.ckpt").is_file()


def test_the_page_has_no_block_that_is_not_run():
    assert len(BLOCKS) == TEXT.count("```") / 2 > 10
