"""The neck in the README would pass `make lint` as a file of detkit."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
NECK = next(
    block
    for block in re.findall(r"^```python\n(.*?)^```$", README, re.M | re.S)
    if "@register" in block
)


def lint(*words: str, text: str | None = None) -> str:
    """Complaints of a tool, or an empty string."""
    command = [sys.executable, "-m", *words]
    result = subprocess.run(
        command, input=text, cwd=ROOT, capture_output=True, text=True, check=False
    )
    return "" if result.returncode == 0 else result.stdout + result.stderr


@pytest.mark.parametrize("action", [["check"], ["format", "--check"]], ids=" ".join)
def test_ruff_accepts_it(action):
    assert lint("ruff", *action, "--stdin-filename", "detkit/necks/thin.py", "-", text=NECK) == ""


def test_ruff_is_asked_about_detkit():
    """The rules of detkit's folders apply, not ruff's defaults."""
    text = NECK.replace(", strict=True", "")
    assert "B905" in lint(
        "ruff", "check", "--stdin-filename", "detkit/necks/thin.py", "-", text=text
    )


@pytest.mark.slow  # 30 seconds
def test_mypy_accepts_it(tmp_path):
    package = tmp_path / "detkit"
    shutil.copytree(ROOT / "detkit", package)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    (package / "necks" / "thin.py").write_text(NECK, encoding="utf-8")
    command = [sys.executable, "-m", "mypy", "detkit/necks/thin.py"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout
