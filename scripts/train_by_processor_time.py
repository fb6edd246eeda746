"""`detkit train` on one thread, with `trainer.max_minutes` counted in processor time.

    python scripts/train_by_processor_time.py model=fcos trainer.max_minutes=3 ...

Other programs on the machine then do not shorten a training, so that trainings of equal minutes
can be compared. Use data.workers=0: the time of loader processes does not count.
"""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any

from detkit.cli.main import main
from detkit.training import training_limits


def metrics_after(words: list[str]) -> dict[str, Any]:
    """The metrics and the number of steps of a run with these words, in a process of its own."""
    with TemporaryDirectory() as folder:
        command = [sys.executable, __file__, *words, f"run_folder={folder}/run"]
        subprocess.run(command, check=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
        text = (Path(folder) / "run/metrics.json").read_text(encoding="utf-8")
        with (Path(folder) / "run/metrics.csv").open(encoding="utf-8", newline="") as file:
            steps = max(int(row["step"]) for row in csv.DictReader(file))
    metrics: dict[str, Any] = json.loads(text)
    return {**metrics, "steps": steps}


if __name__ == "__main__":
    setattr(training_limits, "time", SimpleNamespace(monotonic=time.process_time))  # noqa: B010
    sys.exit(main(["train", *sys.argv[1:]]))
