"""Curves of the jobs of a sweep over their epochs, as SVG inside a page."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from detkit.sweeps.results.job_results import Result

_WIDTH, _HEIGHT = 1000, 380
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 16, 16, 40
_TICKS = 5
_MOST_DOTS = 60  # points of a curve that are shown one by one
_STEPS = (1, 2, 5, 10)
_ROUNDING = 1e-9
_SAME = 5e-5  # below the table's four digits
_LEAST_TOP = 0.01  # of the axis, for jobs that have learned nothing yet


def curves(results: Sequence[Result], metric: str) -> str:
    """A curve for each job that was validated; each is a group `.curve` that names its job."""
    points = (
        [(v.epoch, v.numbers[metric]) for v in result.validations if metric in v.numbers]
        for result in results
    )
    drawn = [(result, found) for result, found in zip(results, points, strict=True) if found]
    if not drawn:
        return ""
    epochs = [epoch for _, found in drawn for epoch, _ in found]
    numbers = [number for _, found in drawn for _, number in found]
    first, last = min(epochs), max(epochs)
    step = nice_step(max(*numbers, _LEAST_TOP) / _TICKS)
    top = step * max(math.ceil(max(numbers) / step - _ROUNDING), 1)
    lines = [*_grid_across(top, step), *_ticks_below(first, last)]
    for result, found in drawn:
        places = [(_x(epoch, first, last), _y(number, top)) for epoch, number in found]
        lines.append(_curve(result, places, metric))
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" '
        f'aria-label="{escape(metric)} over the epochs">\n' + "\n".join(lines) + "\n</svg>"
    )


def curves_note(results: Sequence[Result], metric: str) -> str:
    """How the numbers of the curves relate to those of the table."""
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
    """1, 2 or 5 times a power of ten, the first that is not less."""
    power: float = 10.0 ** math.floor(math.log10(least))
    return next(s * power for s in _STEPS if s * power >= least * (1 - _ROUNDING))


def _curve(result: Result, places: list[tuple[float, float]], metric: str) -> str:
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    dotted = places if len(places) <= _MOST_DOTS else []
    dots = "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="2.5"/>' for x, y in dotted)
    best = result.numbers.get(metric)
    said = "" if best is None else f": {metric} {best:.4f} in epoch {result.epoch}"
    return (
        f'<g class="curve rest" data-job="{escape(result.name)}">'
        f"<title>{escape(result.name + said)}</title>"
        f'<polyline points="{points}"/>{dots}</g>'
    )


def _grid_across(top: float, step: float) -> list[str]:
    digits = max(0, -math.floor(math.log10(step)))
    lines = []
    for number in range(round(top / step) + 1):
        y = _y(number * step, top)
        lines.append(
            f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
            f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">'
            f"{number * step:.{digits}f}</text>"
        )
    return lines


def _ticks_below(first: int, last: int) -> list[str]:
    step = max(1, round(nice_step(max(1, (last - first) / 10))))
    ticks = sorted({first, last, *range(-(-first // step) * step, last + 1, step)})
    # The last round one would run into the last epoch where they are close.
    ticks = [t for t in ticks if t in (first, last) or min(last - t, t - first) >= step / 2]
    y = _HEIGHT - _BOTTOM + 18
    lines = [
        f'<text x="{_x(t, first, last):.1f}" y="{y}" text-anchor="middle">{t}</text>' for t in ticks
    ]
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    return [*lines, f'<text x="{middle}" y="{_HEIGHT - 6}" text-anchor="middle">epoch</text>']


def _x(epoch: int, first: int, last: int) -> float:
    share = (epoch - first) / (last - first) if last > first else 0.5
    return _LEFT + share * (_WIDTH - _LEFT - _RIGHT)


def _y(number: float, top: float) -> float:
    return _TOP + (1 - number / top) * (_HEIGHT - _TOP - _BOTTOM)
