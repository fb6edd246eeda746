"""The settings, commands and Python blocks of docs/tiling.md."""

import re
from pathlib import Path

import pytest
from test_migration_pages import check

from detkit.config.signatures import arguments
from detkit.config.value_types import literal_text
from detkit.data.tiling import TrainingTiles
from detkit.inference.tiling import Tiling

TEXT = (Path(__file__).parents[2] / "docs/tiling.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", TEXT, re.MULTILINE | re.DOTALL)
COMMANDS = [line for language, block in BLOCKS if not language for line in block.splitlines()]
PROGRAMS = [block for language, block in BLOCKS if language == "python"]


@pytest.mark.parametrize(("number", "settings"), [(0, Tiling), (1, TrainingTiles)])
def test_the_tables_list_every_setting_with_its_default(number, settings):
    table = TEXT.split("| setting | default | meaning |")[number + 1].split("\n\n")[0]
    rows = re.findall(r"^\| `(\w+)` \| (\S+) \|", table, re.MULTILINE)
    expected = arguments(settings).values()
    assert [name for name, _ in rows] == [argument.name for argument in expected]
    defaults = [default.strip("`") for _, default in rows]
    assert defaults == [literal_text(argument.default) for argument in expected]


@pytest.mark.slow
@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_can_be_composed(line):
    check(line, "fcos")


@pytest.fixture
def folder(trained, photos, tmp_path, monkeypatch):
    (tmp_path / "runs").mkdir()
    (tmp_path / "runs/mine").symlink_to(trained / "first")
    (tmp_path / "photos").symlink_to(photos)
    monkeypatch.chdir(tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("number", range(len(PROGRAMS)))
def test_the_programs_run(folder, number):
    if "sahi" in PROGRAMS[number]:
        pytest.importorskip("sahi", reason='pip install "detkit[sahi]"')
    exec(compile(PROGRAMS[number], f"docs/tiling.md, block {number}", "exec"), {})
