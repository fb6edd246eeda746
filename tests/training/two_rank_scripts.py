"""Runs a script of this folder on two ranks, as torchrun does."""

import os
import subprocess
import sys
from pathlib import Path

TESTS = Path(__file__).parents[1]


def run_two_ranks(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The script imports detkit and the helper modules in tests/ from this checkout."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    paths = os.pathsep.join([str(TESTS.parent), str(TESTS)])
    return subprocess.run(
        [*command, str(Path(__file__).with_name(script)), *arguments],
        check=False,
        timeout=600,  # a busy machine takes minutes
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": paths},
        capture_output=True,
        text=True,
    )
