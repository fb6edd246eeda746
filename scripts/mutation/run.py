"""Count the small faults in the detection code that the default tests notice.

    python scripts/mutation/run.py kill RESULT.json [COUNT] [SEED]
    python scripts/mutation/run.py compare BEFORE.json AFTER.json

`kill` draws mutants (see mutants.py) and runs each in a forked process against the default tests of
its package until one fails. A mutant that runs out of time counts as killed. `compare` counts the
mutants that exist in both results, and the kills of each package.

To compare two states of the code, run `kill` in a checkout of each (a `git worktree`) with that
checkout in PYTHONPATH; the same seed draws the same mutants as far as they still exist. The result
is written after each mutant, and a second call goes on with it; expect 5 to 10 seconds for one.
"""

from __future__ import annotations

import importlib
import json
import os
import resource
import signal
import sys
from collections import Counter
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType

import pytest
from mutants import Mutant, mutants_of

ROOT = Path.cwd()
TESTS = {  # by package
    "ops": ("ops", "postprocess", "samplers", "priors", "box_coders", "assigners"),
    "losses": ("losses",),
    "assigners": ("assigners",),
    "heads": ("heads",),
    "evaluation": ("evaluation",),
}
CPU_LIMIT = 120  # seconds until a mutant counts as killed
HEAVY = ("torch", "torchvision", "lightning", "timm", "hydra", "pycocotools", "hypothesis")
_PYTEST = ["-qx", "-p", "no:cacheprovider", "-p", "no:xdist", "--hypothesis-seed=0"]


def module_files() -> dict[str, Path]:
    """The files of the packages by module name."""
    files = [file for name in TESTS for file in (ROOT / "detkit" / name).rglob("*.py")]
    modules = {".".join(file.relative_to(ROOT).with_suffix("").parts): file for file in files}
    return {name.removesuffix(".__init__"): file for name, file in sorted(modules.items())}


def load_changed(sources: dict[str, str]) -> None:
    """Let modules load from these sources instead of their files, without writing bytecode."""
    unchanged = SourceFileLoader.get_code

    def get_code(loader: SourceFileLoader, name: str) -> CodeType | None:
        if name in sources:
            return compile(sources[name], loader.path, "exec", dont_inherit=True)
        return unchanged(loader, name)

    SourceFileLoader.get_code = get_code  # type: ignore[method-assign]


def is_killed(mutant: Mutant) -> bool:
    """Whether a test fails on a mutant, or its process ends in any other way."""
    if child := os.fork():
        return os.waitpid(child, 0)[1] != 0
    code = 99
    try:
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, 1)
        os.dup2(nothing, 2)
        resource.setrlimit(resource.RLIMIT_CPU, (CPU_LIMIT, CPU_LIMIT))
        signal.alarm(10 * CPU_LIMIT)
        load_changed({mutant.module: mutant.source})
        folders = [str(ROOT / "tests" / name) for name in TESTS[mutant.module.split(".")[1]]]
        code = int(pytest.main([*_PYTEST, *folders]))
    finally:
        os._exit(code)


def kill(output: str, count: str = "160", seed: str = "0") -> None:
    """Write which mutants of a sample are killed; go on where an earlier result ends."""
    for name in HEAVY:
        importlib.import_module(name)
    files = module_files()
    for package in TESTS:
        unchanged = f"detkit.{package}"
        if is_killed(Mutant(unchanged, "", "", 0, "", files[unchanged].read_text("utf-8"))):
            raise SystemExit(f"the tests of {package} fail without a mutant")
    mutants = [mutant for module in files.items() for mutant in mutants_of(*module)]
    result = Path(output)
    rows = json.loads(result.read_text(encoding="utf-8")) if result.exists() else []
    finished = {row[0] for row in rows}
    for mutant in sorted(mutants, key=lambda mutant: mutant.rank(int(seed)))[: int(count)]:
        if mutant.name in finished:
            continue
        killed = is_killed(mutant)
        print("killed  " if killed else "survived", mutant.name, mutant.change, flush=True)
        rows.append([mutant.name, mutant.change, killed])
        result.write_text(json.dumps(rows, indent=0), encoding="utf-8")
    print(f"{sum(row[2] for row in rows)} of {len(rows)} mutants of {len(mutants)} killed")


def compare(*results: str) -> None:
    """Print the kills of two results: of the mutants in both, and of each package."""
    rows = [json.loads(Path(result).read_text(encoding="utf-8")) for result in results]
    before, after = ({name: killed for name, _, killed in part} for part in rows)
    common = sorted(before.keys() & after.keys())
    counts = [sum(result[name] for name in common) for result in (before, after)]
    print(f"of {len(common)} mutants in both, {counts[0]} killed before and {counts[1]} after")
    for name in common:
        if before[name] != after[name]:
            print("  killed only", "before:" if before[name] else "after:", name)
    for package in TESTS:
        for label, result in (("before", before), ("after", after)):
            kills = Counter(killed for name, killed in result.items() if name.startswith(package))
            print(f"{package:12}{label:7}{kills[True]} of {kills.total()} killed")


if __name__ == "__main__":
    {"kill": kill, "compare": compare}[sys.argv[1]](*sys.argv[2:])
