"""The commands and programs of docs/confidence.md run."""

import json
import re
import shlex
import shutil
from pathlib import Path

import pytest
from tiny_run import TINY

from detkit.cli.main import main

TEXT = (Path(__file__).parents[2] / "docs/confidence.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
COMMANDS = [line for language, block in BLOCKS if not language for line in block.splitlines()]
PROGRAMS = [block for language, block in BLOCKS if language == "python"]
SHAPES = ["data=shapes", *(word for word in TINY if word.startswith("data.reader."))]


@pytest.fixture
def folder(trained: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("mine", "other"):
        shutil.copytree(trained / "first", tmp_path / "runs" / name)
    results = tmp_path / "runs/mine/metrics.json"
    content = json.loads(results.read_text())
    content["analysis"]["score_thresholds"]["classes"]["circle"]["score_threshold"] = 0.01
    results.write_text(json.dumps(content))
    (tmp_path / "photos").symlink_to(photos)
    (tmp_path / "datasets").symlink_to(trained / "datasets")
    monkeypatch.chdir(tmp_path)
    assert main(["evaluate", "ckpt=runs/mine", "output=numbers"]) == 0
    return tmp_path


@pytest.mark.slow
def test_the_commands_run(folder: Path, blank_figures: None) -> None:
    assert len(COMMANDS) == 8
    for line in COMMANDS:
        words = [
            word
            for part in shlex.split(line)[1:]
            for word in (SHAPES if part == "data.path=DATA" else [part])
        ]
        assert main(words) == 0, line


@pytest.mark.slow
@pytest.mark.parametrize("number", range(len(PROGRAMS)))
def test_the_programs_run(folder: Path, blank_figures: None, number: int) -> None:
    exec(compile(PROGRAMS[number], f"docs/confidence.md, block {number}", "exec"), {})
