"""Which jobs of a sweep are worse than the best one by more than the choice of images explains."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from detkit.errors import DataError
from detkit.evaluation.best_of_many import worse_than_best
from detkit.evaluation.bootstrap import BootstrapSettings, Resampled, resampled_numbers
from detkit.evaluation.coco_matches import CocoMatches
from detkit.evaluation.match_file import read_matches
from detkit.evaluation.paired_comparison import align
from detkit.evaluation.weighted_precision import COLUMNS
from detkit.runs.layout import RunFolder
from detkit.sweeps.results.job_results import Result
from detkit.sweeps.results.results_table import Table
from detkit.text import counted

BEST, WORSE, BY_CHANCE = "best", "worse", "by chance"
_MANY_IMAGES, _SAMPLES, _FEWER_SAMPLES = 1000, 1000, 200


def mark_differences(table: Table, folder: Path) -> tuple[Table, list[str]]:
    """The table with a mark for each finished job, and lines on what the marks mean.

    Args:
        table: The jobs.
        folder: The sweep's folder.
    """
    done = [r for r in table.results if r.state == "done" and table.metric in r.numbers]
    matches = {
        result.name: read_matches(RunFolder(folder / result.name).matches) for result in done
    }
    stored = [result for result in done if matches[result.name] is not None]
    notes = []
    if len(stored) < len(done):
        notes.append(
            f"{counted(len(done) - len(stored), 'job')} without a mark: an older detkit or another "
            "metric than COCO's stored no matches of single images. Use `detkit compare`."
        )
    if len(stored) < 2:  # noqa: PLR2004  # jobs to compare
        return table, notes if len(done) > 1 else []
    if not _is_resampled(table.metric):
        return table, [
            f"{table.metric} has no intervals, so the jobs have no marks: metric=AP has."
        ]
    best = max(stored, key=lambda result: result.numbers[table.metric])
    pairs = [(result, matches[result.name]) for result in stored]
    comparable, numbers, samples = _numbers(table.metric, best, pairs)
    if len(comparable) < len(stored):
        others = counted(len(stored) - len(comparable), "job")
        notes.append(f"{others} without a mark: other images, objects or classes than {best.name}.")
    if len(comparable) < 2:  # noqa: PLR2004
        return table, notes
    outcome = worse_than_best(
        np.array([number.estimate for number in numbers]),
        np.stack([number.samples for number in numbers]),
    )
    marks = {
        result.name: WORSE if is_worse else BY_CHANCE
        for result, is_worse in zip(comparable, outcome.is_worse.tolist(), strict=True)
    }
    marks[comparable[outcome.best].name] = BEST
    note = (
        f"vs best: 'worse' exceeds what the choice of validation images explains (95 %, "
        f"{samples:,} samples, corrected for {counted(len(comparable), 'job')}); 'by chance' does "
        "not. The seed of a training is not part of it: see the spread over seeds."
    )
    return replace(table, marks=marks), [note, *notes]


def _numbers(
    metric: str, best: Result, jobs: Sequence[tuple[Result, CocoMatches | None]]
) -> tuple[list[Result], list[Resampled], int]:
    """The jobs that can be compared with the best one, their numbers, and the number of samples."""
    reference = next(matches for result, matches in jobs if result is best)
    comparable, numbers, samples = [], [], _SAMPLES
    for result, matches in jobs:
        if matches is None or reference is None or not _is_comparable(matches, reference):
            continue
        samples = _SAMPLES if len(matches.image_ids) <= _MANY_IMAGES else _FEWER_SAMPLES
        settings = BootstrapSettings(samples)
        resampled = resampled_numbers(matches, settings, sizes=metric in COLUMNS[3:])
        if metric in resampled and np.isfinite(resampled[metric].estimate):
            comparable.append(result)
            numbers.append(resampled[metric])
    return comparable, numbers, samples


def _is_resampled(metric: str) -> bool:
    return metric in COLUMNS or metric.startswith(("AP/", "AP50/"))


def _is_comparable(matches: CocoMatches, reference: CocoMatches) -> bool:
    try:
        align(reference, matches)
    except DataError:
        return False
    return sorted(matches.class_names) == sorted(reference.class_names)
