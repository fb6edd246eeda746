"""The chart of a sweep page: one curve per job, as the coordinates that `curves.svg.j2` draws."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from detkit.sweeps.results.job_results import Result

_WIDTH, _HEIGHT = 1000, 380
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 16, 16, 40  # margins
_TICKS = 5
_MOST_DOTS = 60  # a longer curve is drawn without dots
_STEPS = (1, 2, 5, 10)
_ROUNDING = 1e-9
_SAME = 5e-5  # below the table's four digits
_LEAST_TOP = 0.01  # of the axis, for jobs that have not learned anything yet
_LABEL_DROP = 4  # pixels from a grid line to the baseline of its label


class GridLine(NamedTuple):
    """A horizontal line with the value at its left."""

    y: str
    text_y: str
    label: str


class Tick(NamedTuple):
    """An epoch below the horizontal axis."""

    x: str
    epoch: int


class Curve(NamedTuple):
    """The curve of a job; `dots` are its points unless there are too many."""

    job: str
    title: str
    points: str
    dots: list[tuple[str, str]]


class Chart(NamedTuple):
    """Coordinates in pixels of a picture of `width` and `height`; the rest bounds the plot."""

    width: int
    height: int
    left: int
    right: int
    bottom: int
    grid: list[GridLine]
    ticks: list[Tick]
    curves: list[Curve]


def make_chart(results: Sequence[Result], metric: str) -> Chart | None:
    """A curve for each job with a validation; None without one."""
    all_points = [
        [(v.epoch, v.numbers[metric]) for v in result.validations if metric in v.numbers]
        for result in results
    ]
    points_by_job = [pair for pair in zip(results, all_points, strict=True) if pair[1]]
    if not points_by_job:
        return None
    epochs = [epoch for _, points in points_by_job for epoch, _ in points]
    values = [value for _, points in points_by_job for _, value in points]
    first, last = min(epochs), max(epochs)
    step = nice_step(max(*values, _LEAST_TOP) / _TICKS)
    top = step * max(math.ceil(max(values) / step - _ROUNDING), 1)
    return Chart(
        _WIDTH,
        _HEIGHT,
        left=_LEFT,
        right=_WIDTH - _RIGHT,
        bottom=_HEIGHT - _BOTTOM,
        grid=_grid(top, step),
        ticks=_ticks(first, last),
        curves=[
            _curve(result, metric, [(_x(e, first, last), _y(v, top)) for e, v in points])
            for result, points in points_by_job
        ],
    )


def chart_note(results: Sequence[Result], metric: str) -> str:
    """Explain how the curves' values relate to the table's."""
    note = (
        "Curves: validations during training. Table: the best checkpoint, measured again after "
        "training (for unfinished jobs, the best validation so far)."
    )
    remeasured = [result for result in results if metric in result.difference]
    if not remeasured:
        return note
    largest = max(remeasured, key=lambda result: abs(result.difference[metric]))
    difference = largest.difference[metric]
    if abs(difference) < _SAME:
        return f"{note} The two agree for every finished job."
    return (
        f"{note} They differ by up to {abs(difference):.4f} ({largest.name}: {difference:+.4f}): "
        "training may validate in lower precision (trainer.precision) or on fewer images "
        "(trainer.limit_validation_batches)."
    )


def nice_step(least: float) -> float:
    """The smallest of 1, 2 and 5 times a power of ten that is not less than a number."""
    power: float = 10.0 ** math.floor(math.log10(least))
    return next(s * power for s in _STEPS if s * power >= least * (1 - _ROUNDING))


def _curve(result: Result, metric: str, points: Sequence[tuple[float, float]]) -> Curve:
    texts = [(f"{x:.1f}", f"{y:.1f}") for x, y in points]
    best = result.numbers.get(metric)
    summary = "" if best is None else f": {metric} {best:.4f} in epoch {result.epoch}"
    return Curve(
        job=result.name,
        title=result.name + summary,
        points=" ".join(f"{x},{y}" for x, y in texts),
        dots=texts if len(texts) <= _MOST_DOTS else [],
    )


def _grid(top: float, step: float) -> list[GridLine]:
    digits = max(0, -math.floor(math.log10(step)))
    lines = []
    for number in range(round(top / step) + 1):
        y = _y(number * step, top)
        label = f"{number * step:.{digits}f}"
        lines.append(GridLine(f"{y:.1f}", f"{y + _LABEL_DROP:.1f}", label))
    return lines


def _ticks(first: int, last: int) -> list[Tick]:
    step = max(1, round(nice_step(max(1, (last - first) / 10))))
    epochs = sorted({first, last, *range(-(-first // step) * step, last + 1, step)})
    # Labels of a round epoch and of the last one would overlap if they were close.
    epochs = [e for e in epochs if e in (first, last) or min(last - e, e - first) >= step / 2]
    return [Tick(f"{_x(epoch, first, last):.1f}", epoch) for epoch in epochs]


def _x(epoch: int, first: int, last: int) -> float:
    share = (epoch - first) / (last - first) if last > first else 0.5
    return _LEFT + share * (_WIDTH - _LEFT - _RIGHT)


def _y(value: float, top: float) -> float:
    return _TOP + (1 - value / top) * (_HEIGHT - _TOP - _BOTTOM)
