"""The commands of docs/plugins.md give the outputs shown, in an empty folder."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
from installing import ROOT, python

PAGE = (ROOT / "docs" / "plugins.md").read_text(encoding="utf-8")
SECONDS = re.compile(r" \(\d+ s\)")


def steps() -> list[tuple[str, list[str]]]:
    """Each command of the page with its output."""
    found: list[tuple[str, list[str]]] = []
    for block in re.findall(r"^```\n(\$ .*?)^```", PAGE, re.MULTILINE | re.DOTALL):
        for line in block.splitlines():
            if line.startswith("$ detkit "):
                found.append((line.removeprefix("$ detkit "), []))
            else:
                found[-1][1].append(line)
    return found


def exact(command: str) -> bool:
    """Whether a command's output depends neither on the machine nor on a training's numbers."""
    return command.startswith("plugin")


@pytest.mark.slow
def test_the_way_of_a_newcomer(tmp_path: Path):
    assert len(steps()) == 5
    for command, shown in steps():
        done = python(tmp_path, "-m", "detkit.cli.main", *shlex.split(command))
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        if exact(command):
            assert SECONDS.sub("", done.stdout).split("\n")[:-1] == [
                SECONDS.sub("", line) for line in shown
            ]
    table = done.stdout.splitlines()
    heads = ["model/neck", "seed", "AP", "AP50", "epoch", "minutes", "state"]
    assert table[0].split()[: len(heads)] == heads
    assert [line.split()[len(heads) - 1] for line in table[1:5]] == ["done"] * 4
    assert (tmp_path / "runs/necks/table.html").is_file()
