"""Count the small faults in the detection code that the default tests notice.

    python scripts/mutation/run.py record COVERAGE.json [TESTS ...]
    python scripts/mutation/run.py kill COVERAGE.json RESULT.json [COUNT] [SEED]
    python scripts/mutation/run.py compare BEFORE.json AFTER.json

`record` runs the tests once and notes which functions of the packages each test calls. `kill` draws
mutants (see mutants.py) and runs each in a forked process against the tests that call its function,
fastest first, until one fails. A mutant that runs out of time counts as killed. `compare` counts
the mutants that exist in both results, and the kills of each package.

To compare two states of the code, run `record` and `kill` in a checkout of each (a `git worktree`)
with that checkout in PYTHONPATH; the same seed draws the same mutants as far as they still exist.
Expect 15 minutes for `record` and 5 seconds per mutant.
"""

from __future__ import annotations

import ast
import importlib
import json
import os
import resource
import signal
import sys
import time
from collections import Counter, defaultdict
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType
from typing import Any

import pytest
from mutants import Mutant, functions_of, mutants_of

ROOT = Path.cwd()
PACKAGES = ("ops", "losses", "assigners", "heads", "evaluation")
TEST_SECONDS = 20.0  # of recorded time per mutant; slower tests are not tried
CPU_LIMIT = 120  # seconds until a mutant counts as killed
HEAVY = ("torch", "torchvision", "lightning", "timm", "hydra", "scipy", "pycocotools", "hypothesis")
_PYTEST = ["-q", "-p", "no:cacheprovider", "-p", "no:xdist", "--hypothesis-seed=0"]
_calls: set[str] = set()


def module_files() -> dict[str, Path]:
    """The files of the packages by module name."""
    files = [file for name in PACKAGES for file in (ROOT / "detkit" / name).rglob("*.py")]
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


def _noting_calls(module: str, file: Path) -> str:
    """The source of a module whose functions note that they were called."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    for name, function in functions_of(tree):
        note = ast.parse(f"__import__('sys').mutation_calls.add({f'{module}:{name}'!r})").body[0]
        function.body.insert(0 if ast.get_docstring(function) is None else 1, note)
    return ast.unparse(ast.fix_missing_locations(tree))


class _Recorder:
    """Notes the functions that each test calls, and its time."""

    def __init__(self) -> None:
        self.tests: dict[str, list[tuple[float, str]]] = defaultdict(list)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Any:
        _calls.clear()
        start = time.process_time()
        result = yield
        seconds = round(time.process_time() - start, 3)
        for function in _calls:
            self.tests[function].append((seconds, item.nodeid))
        return result


def record(output: str, *tests: str) -> None:
    """Write the tests of each function, fastest first."""
    sys.mutation_calls = _calls  # type: ignore[attr-defined]
    load_changed({name: _noting_calls(name, file) for name, file in module_files().items()})
    recorder = _Recorder()
    pytest.main([*_PYTEST, *tests], plugins=[recorder])
    ordered = {name: sorted(entries) for name, entries in sorted(recorder.tests.items())}
    Path(output).write_text(json.dumps(ordered, indent=0), encoding="utf-8")


class _Selection:
    """Runs only these tests, in this order."""

    def __init__(self, tests: list[str]) -> None:
        self._order = {test: position for position, test in enumerate(tests)}

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        selected = [item for item in items if item.nodeid in self._order]
        items[:] = sorted(selected, key=lambda item: self._order[item.nodeid])


def _fastest(entries: list[tuple[float, str]]) -> list[str]:
    """The fastest tests that fit the time, at least one."""
    tests, total = [], 0.0
    for seconds, test in entries:
        total += seconds
        if total < TEST_SECONDS or not tests:
            tests.append(test)
    return tests


def is_killed(mutant: Mutant, tests: list[str]) -> bool:
    """Whether a test fails on a mutant, or its process ends in any other way."""
    if not tests:
        return False
    if child := os.fork():
        return os.waitpid(child, 0)[1] != 0
    code = 99
    try:
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, 1)
        os.dup2(nothing, 2)
        resource.setrlimit(resource.RLIMIT_CPU, (CPU_LIMIT, CPU_LIMIT))
        signal.alarm(5 * CPU_LIMIT)
        load_changed({mutant.module: mutant.source})
        files = sorted({test.split("::")[0] for test in tests})
        code = int(pytest.main([*_PYTEST, "-x", *files], plugins=[_Selection(tests)]))
    finally:
        os._exit(code)


def kill(coverage: str, output: str, count: str = "160", seed: str = "0") -> None:
    """Write which mutants of a sample are killed."""
    for name in HEAVY:
        importlib.import_module(name)
    tests_of = json.loads(Path(coverage).read_text(encoding="utf-8"))
    mutants = [mutant for module in module_files().items() for mutant in mutants_of(*module)]
    rows = []
    for mutant in sorted(mutants, key=lambda mutant: mutant.rank(int(seed)))[: int(count)]:
        tests = _fastest(tests_of.get(f"{mutant.module}:{mutant.function}", []))
        killed = is_killed(mutant, tests)
        print("killed  " if killed else "survived", mutant.name, mutant.change, flush=True)
        rows.append([mutant.name, mutant.change, killed, len(tests)])
        Path(output).write_text(json.dumps(rows, indent=0), encoding="utf-8")
    print(f"{sum(row[2] for row in rows)} of {len(rows)} mutants of {len(mutants)} killed")


def compare(*results: str) -> None:
    """Print the kills of two results: of the mutants in both, and of each package."""
    rows = [json.loads(Path(result).read_text(encoding="utf-8")) for result in results]
    before, after = ({name: killed for name, _, killed, _ in part} for part in rows)
    common = sorted(before.keys() & after.keys())
    counts = [sum(result[name] for name in common) for result in (before, after)]
    print(f"of {len(common)} mutants in both, {counts[0]} killed before and {counts[1]} after")
    for name in common:
        if before[name] != after[name]:
            print("  killed only", "before:" if before[name] else "after:", name)
    for package in PACKAGES:
        for label, result in (("before", before), ("after", after)):
            kills = Counter(killed for name, killed in result.items() if name.startswith(package))
            print(f"{package:12}{label:7}{kills[True]} of {kills.total()} killed")


if __name__ == "__main__":
    {"record": record, "kill": kill, "compare": compare}[sys.argv[1]](*sys.argv[2:])
