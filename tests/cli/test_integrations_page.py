"""The commands and Python blocks of docs/integrations.md."""

from __future__ import annotations

import importlib
import inspect
import json
import re
import shlex
import sys
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hub_server import hub  # noqa: F401  # a fixture
from real_fiftyone import fiftyone  # noqa: F401  # a fixture
from test_migration_pages import check

from detkit.cli.main import main
from detkit.data.readers.fiftyone_reader import FiftyOneReader

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docs/integrations.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^## (.+)\n((?:(?!^## ).*\n)*)", TEXT, re.MULTILINE))
FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(section: str, language: str) -> list[str]:
    return [block for name, block in FENCED.findall(SECTIONS[section]) if name == language]


def commands(program: str) -> list[str]:
    lines = [line for name in SECTIONS for block in blocks(name, "") for line in block.splitlines()]
    return [line for line in lines if line.startswith(f"{program} ")]


def test_every_line_of_a_block_is_a_command_of_a_known_program() -> None:
    lines = [line for name in SECTIONS for block in blocks(name, "") for line in block.splitlines()]
    assert len(lines) == sum(len(commands(name)) for name in ("detkit", "cvat-cli", "python")) > 10


@pytest.mark.slow
@pytest.mark.parametrize(
    "line", [line for line in commands("detkit") if not line.startswith("detkit bundle")]
)
def test_every_command_can_be_composed(line: str) -> None:
    check(line, "fcos")


def test_the_parameters_of_cvat_are_those_of_its_function(monkeypatch: pytest.MonkeyPatch) -> None:
    (line,) = commands("cvat-cli")
    words = shlex.split(line)
    package = SimpleNamespace(auto_annotation=None)
    monkeypatch.setitem(sys.modules, "cvat_sdk", package)
    monkeypatch.setitem(sys.modules, "cvat_sdk.auto_annotation", SimpleNamespace())
    name = words[words.index("--function-module") + 1]
    monkeypatch.delitem(sys.modules, name, raising=False)
    function = importlib.import_module(name)
    monkeypatch.delitem(sys.modules, name)
    types = {"str": str, "float": float}
    typed = [word.split(":", 1) for before, word in pairwise(words) if before == "-p"]
    settings = [(*start.split("="), value) for start, value in typed]
    values = {key: types[kind](value) for key, kind, value in settings}
    inspect.signature(function.create).bind(**values)
    assert values == {"ckpt": "runs/mine", "threshold": 0.4}


def test_the_programs_of_examples_exist() -> None:
    for line in commands("python"):
        assert (ROOT / line.split()[1]).is_file()


@pytest.fixture
def folder(trained: Path, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs/mine").symlink_to(trained / "first")
    (tmp_path / "photos").symlink_to(photos)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run_blocks(section: str) -> dict[str, Any]:
    names: dict[str, Any] = {"__name__": "integrations_page"}
    for number, block in enumerate(blocks(section, "python")):
        exec(compile(block, f"{section}, block {number}", "exec"), names)
    return names


@pytest.mark.slow
def test_the_blocks_on_supervision_run(folder: Path) -> None:
    pytest.importorskip("supervision", reason='pip install "detkit[supervision]"')
    pytest.importorskip("trackers", reason="pip install trackers")
    names = run_blocks("supervision")
    assert names["picture"].shape == (90, 120, 3)
    assert len(names["in_zone"]) == len(names["detections"])


@pytest.mark.slow
def test_the_blocks_on_fiftyone_and_its_reader_run(
    folder: Path,
    fiftyone: Any,  # noqa: F811
) -> None:
    sys.modules.pop("detkit.integrations.fiftyone", None)
    assert main(shlex.split(blocks("FiftyOne", "")[0])[1:]) == 0
    names = run_blocks("FiftyOne")
    assert len(names["predictions"]) == 3
    assert names["dataset"].has_sample_field("detkit")
    exported = FiftyOneReader(field="detkit").read(Path("exported"), None)
    stored = FiftyOneReader(dataset="mine", field="detkit").read(Path("photos"), None)
    assert len(exported) == len(stored) == 3
    assert len(exported.boxes) == len(stored.boxes)


@pytest.mark.slow
def test_the_commands_of_the_hub_run(
    folder: Path,
    hub: Any,  # noqa: F811
) -> None:
    for line in blocks("Hugging Face Hub", "")[0].splitlines():
        _, *words = shlex.split(line)
        if words[0] in ("bundle", "predict"):
            assert main(words) == 0, line
    names = run_blocks("Hugging Face Hub")
    assert len(names["results"]) == 1
    assert main(["evaluate", "ckpt=hf://me/cells"]) == 0


@pytest.mark.slow
def test_the_tasks_for_label_studio_have_the_names_of_the_tags_on_the_page(folder: Path) -> None:
    (line,) = blocks("Label Studio", "")
    assert main([*shlex.split(line)[1:-1], "score_threshold=0"]) == 0
    tasks = json.loads(Path("predictions/label_studio.json").read_text())
    (tags,) = blocks("Label Studio", "xml")
    regions = [region for task in tasks for region in task["predictions"][0]["result"]]
    assert len(tasks) == 3
    assert regions
    for region in regions:
        assert f'<RectangleLabels name="{region["from_name"]}"' in tags
        assert f'<Image name="{region["to_name"]}"' in tags
        assert all(0 <= region["value"][key] <= 100 for key in ("x", "y", "width", "height"))
