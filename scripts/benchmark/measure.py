"""Measurements shared by these scripts: both sides take turns, each round gives one ratio.

A script makes `Comparison`s and hands them to `report`, which prints them, or writes them as JSON
where `--json FILE` asks for it (`run.py` does, and makes docs/performance.md of them).
"""

from __future__ import annotations

import json
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple

import torch

ROUNDS = 7
PACKAGES = (
    *("torch", "torchvision", "lightning", "numpy", "onnxruntime"),
    *("pycocotools", "ultralytics", "libreyolo"),
)
_WIDEST = 68


class Comparison(NamedTuple):
    """One row of the table: the same work done by both sides, in turns.

    `at_most` is the largest ratio to aim at. `unit` is that of `ours` and `theirs`, which hold one
    value a round and are smaller where it goes better. `remark` states what a reader has to know.
    """

    work: str
    peer: str
    at_most: float
    unit: str
    ours: list[float]
    theirs: list[float]
    remark: str = ""

    @property
    def ratios(self) -> list[float]:
        """Ours over theirs in each round, the smallest first."""
        return sorted(a / b for a, b in zip(self.ours, self.theirs, strict=True))

    @property
    def ratio(self) -> float:
        """The median ratio."""
        return statistics.median(self.ratios)

    @property
    def met(self) -> bool:
        """Whether the row meets its target."""
        return self.ratio <= self.at_most


def seconds(action: Callable[[], object]) -> float:
    """The duration of one run of an action."""
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def in_turns(
    ours: Callable[[], float], theirs: Callable[[], float], rounds: int = ROUNDS, warm_up: int = 1
) -> tuple[list[float], list[float]]:
    """Measure both sides in turns, alternating which goes first; warm-up rounds do not count."""
    found: tuple[list[float], list[float]] = ([], [])
    for number in range(-warm_up, rounds):
        order = (0, 1) if number % 2 == 0 else (1, 0)
        values = {side: (ours, theirs)[side]() for side in order}
        if number >= 0:
            found[0].append(values[0])
            found[1].append(values[1])
    return found


def times_in_turns(
    ours: Callable[[], object], theirs: Callable[[], object], rounds: int = ROUNDS, warm_up: int = 1
) -> tuple[list[float], list[float]]:
    """Seconds of both sides, in turns."""
    return in_turns(lambda: seconds(ours), lambda: seconds(theirs), rounds, warm_up)


def own_process(script: str, *arguments: str) -> dict[str, float]:
    """Run a script alone in a new process and return the JSON of its last line.

    Raises:
        RuntimeError: The process failed; with the end of what it wrote.
    """
    command = [sys.executable, script, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
    found: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return found


def forget_peak() -> None:
    """Reset `peak_mib`; Linux only."""
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def peak_mib() -> float:
    """Peak memory of this process since its start or the last `forget_peak`, in MiB.

    Linux only. `getrusage` would count what the process that started this one held, too.
    """
    return _status_mib("VmHWM")


def resident_mib() -> float:
    """Memory that this process holds now, in MiB; Linux only."""
    return _status_mib("VmRSS")


def _status_mib(key: str) -> float:
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(key + ":"):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"/proc/self/status has no {key}")


def gemm_rate(side: int = 2048) -> float:
    """The machine's best rate of float32 matrix products, in GFLOP/s."""
    a, b = torch.rand(side, side), torch.rand(side, side)
    return 2 * side**3 / min(seconds(lambda: a @ b) for _ in range(ROUNDS)) / 1e9


def machine() -> dict[str, str]:
    """Facts about the machine and the libraries that the figures depend on, by name."""
    found = {"cores": str(torch.get_num_threads()), "python": platform.python_version()}
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            found["processor"] = line.partition(":")[2].strip()
            break
    found["instructions"] = torch.backends.cpu.get_cpu_capability()
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "not installed"
    return found


def line(row: Comparison) -> str:
    """A comparison in one line."""
    ours, theirs = statistics.median(row.ours), statistics.median(row.theirs)
    ratios = row.ratios
    verdict = "" if row.met else "  <-- more than aimed at"
    return (
        f"{row.work:{_WIDEST}} {ours:9.4g} beside {theirs:9.4g} {row.unit} of {row.peer}: ratio "
        f"{row.ratio:.3f} ({ratios[0]:.3f} to {ratios[-1]:.3f}), aim {row.at_most:.2f}{verdict}"
    )


def report(rows: Sequence[Comparison], **more: object) -> None:
    """Print the rows; with `--json FILE`, also write them with the page's other data."""
    for row in rows:
        print(line(row) + (f"\n    {row.remark}" if row.remark else ""), flush=True)
    if "--json" in sys.argv:
        target = Path(sys.argv[sys.argv.index("--json") + 1])
        content = {"rows": [row._asdict() for row in rows], **more}
        target.write_text(json.dumps(content), encoding="utf-8")
