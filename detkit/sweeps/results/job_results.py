"""The results of a sweep's jobs so far, read from their folders during or after the sweep."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import yaml

from detkit.errors import UserError
from detkit.runs.layout import RunFolder
from detkit.runs.metrics_rows import read_metrics
from detkit.runs.older_config import with_current_keys
from detkit.sweeps.jobs.job import Job
from detkit.sweeps.jobs.progress_line import job_progress
from detkit.sweeps.jobs.sweep_folder import SweepFolder
from detkit.text import split_setting

DAMAGED = "damaged"  # the state of a job whose file cannot be read
_PREFIX = "val/"
_MONITOR = "val/AP"
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # which is ten times as fast


@dataclass(frozen=True)
class Validation:
    """The metrics of one validation: the epoch, counted from 1, and finite numbers by name."""

    epoch: int
    numbers: Mapping[str, float]


@dataclass(frozen=True)
class Result:
    """One job of a sweep.

    Attributes:
        name: Name of its folder.
        values: Its value of each swept key, as text.
        state: `waiting`, `running`, `done`, `failed`, `stopped`, `pruned` or `damaged`.
        minutes: Minutes of all its attempts.
        error: The last line of its error.
        epoch: Epoch of the best checkpoint, counted from 1; None before the first validation.
        numbers: Numbers of the best checkpoint, or of the best validation so far.
        validations: All validations, in order.
        progress: Epoch and time left of a running job; empty otherwise.
        difference: By name, the difference between the checkpoint's numbers, measured again after
            training, and the numbers of its validation during training.
    """

    name: str
    values: Mapping[str, str]
    state: str
    minutes: float
    error: str | None
    epoch: int | None
    numbers: Mapping[str, float]
    validations: tuple[Validation, ...]
    progress: str = ""
    difference: Mapping[str, float] = field(default_factory=dict)


def read_results(sweep: SweepFolder) -> list[Result]:
    """The jobs of a sweep, in its order; one whose file is damaged has the state `damaged`."""
    jobs = [(sweep.path / name, *_job(sweep.path / name)) for name in sweep.jobs]
    typed = (key for _, job, _ in jobs if job for key, _ in map(split_setting, map(str, job.words)))
    keys = list(dict.fromkeys([*map(str, sweep.swept), *typed]))
    return [_result(folder, keys, job, config) for folder, job, config in jobs]


def _mapping(file: Path) -> dict[str, Any] | None:
    """The content of a JSON file, or None if it is missing or not a mapping."""
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return content if isinstance(content, dict) else None


def _job(folder: Path) -> tuple[Job | None, dict[str, Any]]:
    """A job's record, or None, and the configuration of its run; empty if it cannot be read."""
    try:
        job: Job | None = Job.load(folder)
    except UserError:
        job = None
    try:
        config = yaml.load(RunFolder(folder).config.read_text(encoding="utf-8"), _LOADER)
    except (OSError, ValueError, yaml.YAMLError):
        config = None
    return job, with_current_keys(config) if isinstance(config, dict) else {}


def _result(folder: Path, keys: list[str], job: Job | None, config: Mapping[str, Any]) -> Result:
    if job is None:
        missing = f"{folder.name}/{RunFolder(folder).job.name} cannot be read"
        job = Job(folder, id="", state=DAMAGED, error=missing)
    typed = dict(map(split_setting, map(str, job.words)))
    validations = tuple(_validations(RunFolder(folder).metrics_log))
    best = _best(validations, _monitor(config))
    measured = _finite((_mapping(RunFolder(folder).results) if job.state == "done" else None) or {})
    validated = best.numbers if best else {}
    return Result(
        name=folder.name,
        values={key: typed[key] if key in typed else _value(config, key) for key in keys},
        state=job.state,
        minutes=_seconds(job) / 60,
        error=None if job.error is None else " ".join(str(job.error).split()),
        epoch=best.epoch if best else None,
        numbers={**validated, **measured},
        validations=validations,
        progress=job_progress(job) if job.state == "running" else "",
        difference={n: measured[n] - validated[n] for n in measured.keys() & validated.keys()},
    )


def _seconds(job: Job) -> float:
    """Duration of a job so far, all attempts together."""
    seconds = float(job.seconds)
    if job.state == "running" and job.started is not None:
        started = datetime.fromisoformat(job.started)
        seconds += max((datetime.now(started.tzinfo) - started).total_seconds(), 0.0)
    return seconds


def _value(config: Mapping[str, Any], key: str) -> str:
    """The configured value of a key that a job does not override, as in an extended sweep."""
    node: Any = config
    for name in key.replace("/", ".").split("."):
        node = node.get(name) if isinstance(node, Mapping) else None
    if "/" in key and isinstance(node, Mapping):
        node = node.get("name")
    if node is None or isinstance(node, Mapping):
        return ""
    text = yaml.safe_dump(node, default_flow_style=True, width=1000).removesuffix("...\n")
    return text.strip().replace(", ", ",") if isinstance(node, list) else str(node)


def _monitor(config: Mapping[str, Any]) -> str:
    """The metric by which a run chooses its best checkpoint."""
    callbacks = config.get("callbacks")
    for node in callbacks.values() if isinstance(callbacks, dict) else ():
        if isinstance(node, dict) and node.get("name") == "checkpoints":
            return str(node.get("monitor", _MONITOR))
    return _MONITOR


def _validations(file: Path) -> Iterator[Validation]:
    """The validations in a metrics file; none if it is damaged."""
    try:
        rows = read_metrics(file)
    except (OSError, ValueError):
        return
    names = [key for key in (rows[0] if rows else ()) if str(key).startswith(_PREFIX)]
    for row in rows:
        cells = {name[len(_PREFIX) :]: row[name] for name in names if row[name]}
        numbers = _finite({name: _number(cell) for name, cell in cells.items()})
        epoch = _number(row.get("epoch"))
        if numbers and math.isfinite(epoch):
            yield Validation(int(epoch), numbers)


def _number(cell: str | None) -> float:
    try:
        return float(cell or "nan")
    except ValueError:
        return math.nan


def _finite(numbers: Mapping[str, Any]) -> dict[str, float]:
    return {
        name: float(value)
        for name, value in numbers.items()
        if isinstance(value, int | float) and math.isfinite(value)
    }


def _best(validations: tuple[Validation, ...], monitor: str) -> Validation | None:
    """The last validation with the highest number, or just the last one if none has the number."""
    name = monitor.removeprefix(_PREFIX)
    latest_first = reversed(validations)
    return max(latest_first, key=lambda v: v.numbers.get(name, -math.inf), default=None)
