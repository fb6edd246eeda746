"""`detkit train` on one thread, with `trainer.max_minutes` counted in processor time.

    python scripts/train_by_processor_time.py model=fcos trainer.max_minutes=3 ...

Other programs on the machine then do not shorten a training, so that trainings of equal minutes
can be compared. Use data.workers=0: the time of loader processes does not count.
"""

from __future__ import annotations

import csv
import json
import multiprocessing
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace
from typing import Any

import torch

import detkit.cli.train  # noqa: F401  # so that each process need not import it
from detkit.cli.main import main
from detkit.processes import frozen_training
from detkit.training import training_limits


def metrics_after(words: list[str], last_validation: bool = False) -> dict[str, Any]:
    """The metrics and the number of steps of a run with these words, in a process of its own.

    Args:
        words: The words after `detkit train`, without a run folder.
        last_validation: Whether to take AP and AP50 from the validation after the last epoch,
            and to leave out the measurement of the best checkpoint, its pictures and its report.
    """
    with TemporaryDirectory() as folder:
        arguments = [*words, f"run_folder={folder}/run"]
        process = multiprocessing.get_context("fork").Process(
            target=_train, args=(arguments, last_validation)
        )
        process.start()
        process.join()
        if process.exitcode:
            raise SystemExit(f"`detkit train` ended with exit code {process.exitcode}")
        with (Path(folder) / "run/metrics.csv").open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        steps = 1 + max(int(row["step"]) for row in rows)
        if last_validation:
            last = [row for row in rows if row["val/AP"]][-1]
            return {"AP": float(last["val/AP"]), "AP50": float(last["val/AP50"]), "steps": steps}
        text = (Path(folder) / "run/metrics.json").read_text(encoding="utf-8")
    metrics: dict[str, Any] = json.loads(text)
    return {**metrics, "steps": steps}


def _train(words: list[str], skip_measurement: bool = False) -> None:
    torch.set_num_threads(1)
    setattr(training_limits, "time", SimpleNamespace(monotonic=time.process_time))  # noqa: B010
    if skip_measurement:
        setattr(frozen_training, "_finish", lambda *_: {})  # noqa: B010
    sys.exit(main(["train", *words]))


if __name__ == "__main__":
    _train(sys.argv[1:])
