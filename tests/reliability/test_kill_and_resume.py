"""Trainings killed by SIGKILL, with the documented script, on a few images."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SCRIPT = ROOT / "scripts" / "reliability" / "kill_and_resume.py"


# pain 18
@pytest.mark.slow
def test_killed_trainings_end_bit_identical_to_an_uninterrupted_one(tmp_path: Path) -> None:
    words = ["--kills", "4", "--images", "16", "--seed", "1", "--folder", str(tmp_path / "proof")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, str(SCRIPT), *words],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr[-2000:]
    assert "bit-identical: last.ckpt, best.ckpt, metrics.csv, metrics.json" in done.stdout
    kills = re.findall(r"^kill \d: .+; (saved|no checkpoint) .+$", done.stdout, re.MULTILINE)
    assert len(kills) == 4
    assert re.search(r"^kills: 4 in \d trainings: \d while it started", done.stdout, re.MULTILINE)


def test_script_deletes_nothing_itself() -> None:
    assert not re.search(r"unlink|rmtree|remove\(", SCRIPT.read_text())
