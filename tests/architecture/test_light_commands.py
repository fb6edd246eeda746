"""Help and lists answer at once because they import nothing heavy."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import detkit
from detkit.cli.main import COMMANDS

HEAVY = {"torch", "torchvision", "lightning", "hydra", "omegaconf", "pydantic", "numpy", "timm"}
REPORT = """
import json, sys
from detkit.cli.main import main
code = main(sys.argv[1:])
print(json.dumps([code, sorted({name.split(".")[0] for name in sys.modules})]), file=sys.stderr)
"""


def run(folder, *words: str, line: str = "") -> tuple[int, set[str], str]:
    checkout = str(Path(detkit.__file__).parents[1])
    environment = {**os.environ, "DETKIT_DISABLE_ENTRYPOINTS": "1", "PYTHONPATH": checkout}
    environment["COMP_LINE"] = line
    done = subprocess.run(
        [sys.executable, "-c", REPORT, *words],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    code, modules = json.loads(done.stderr.splitlines()[-1])
    return code, set(modules), done.stdout


@pytest.mark.parametrize(
    "words",
    [
        ["--help"],
        ["--version"],
        ["list"],
        ["list", "--names"],
        ["list", "models"],
        ["nonsense"],
    ],
    ids=" ".join,
)
def test_imports_nothing_heavy(words, tmp_path):
    _, modules, _ = run(tmp_path, *words)
    assert not modules & HEAVY


def test_a_key_press_imports_nothing_heavy(tmp_path):
    _, modules, shown = run(tmp_path, "-sc", "query=bash", line="detkit train model.neck=p")
    assert not modules & HEAVY
    assert shown.split() == ["model.neck=pan", "model.neck=projection", "model.neck=psa"]


@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command_imports_nothing_heavy(command, tmp_path):
    code, modules, shown = run(tmp_path, command, "--help")
    assert code == 0
    assert shown.startswith(f"usage: detkit {command}")
    assert not modules & HEAVY
