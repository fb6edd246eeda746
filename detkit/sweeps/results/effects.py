"""The effect of each swept key on a metric, apart from the other keys and from the seed.

Effects are averages of like with like, not a fitted model: jobs are compared only with jobs that
differ in one key. Where a sweep has no such jobs, the effect is unknown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torchmetrics.functional import spearman_corrcoef

SEED = "seed"
_MOST_VALUES = 6  # a numeric key with more values gets a trend instead of a row for each value
_FEWEST_CELLS = 6  # for thirds of two
Values = tuple[str, ...]


@dataclass(frozen=True)
class Cell:
    """Jobs that differ in the seed only.

    Attributes:
        values: The value of each key except the seed.
        numbers: The metric of each job.
    """

    values: Values
    numbers: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Mean over the seeds."""
        return float(np.mean(self.numbers))


@dataclass(frozen=True)
class Level:
    """One value of a key.

    Attributes:
        value: The value as text.
        jobs: Number of jobs with it.
        mean: Mean of its cells' means.
        effect: Mean difference from the average over all values of the key, with all other keys
            alike; None if no jobs can be compared like that.
        error: Standard error of the effect, from the spread over seeds; None if that is unknown.
        spread: Standard deviation over the seeds, pooled over its cells; None with one seed each.
    """

    value: str
    jobs: int
    mean: float
    effect: float | None
    error: float | None
    spread: float | None


@dataclass(frozen=True)
class Effect:
    """A key with few values."""

    key: str
    levels: list[Level]


@dataclass(frozen=True)
class Third:
    """The cells with the lowest, the middle or the highest values of a key."""

    lowest: str
    highest: str
    cells: int
    mean: float


@dataclass(frozen=True)
class Trend:
    """A numeric key with many values, such as one drawn from an interval.

    Attributes:
        key: The key.
        cells: Number of cells.
        correlation: Spearman's rank correlation of key and metric over the cells; None if either
            does not vary.
        thirds: Mean metric in thirds, which show an optimum in the middle; a rank does not.
    """

    key: str
    cells: int
    correlation: float | None
    thirds: list[Third]


@dataclass(frozen=True)
class Effects:
    """The effects of all keys.

    Attributes:
        jobs: Number of jobs.
        cells: Number of cells.
        spread: Standard deviation over the seeds, pooled over all cells; None with one seed each.
        complete: Whether there is a cell for each combination of the values of the `keys`.
        keys: Keys with few values.
        trends: Numeric keys with many values.
    """

    jobs: int
    cells: int
    spread: float | None
    complete: bool
    keys: list[Effect]
    trends: list[Trend]


def effects(jobs: Sequence[tuple[Mapping[str, str], float]]) -> Effects:
    """Effects of all keys that vary.

    Args:
        jobs: Values by key, and the metric, of each job.
    """
    varying = [key for key in (jobs[0][0] if jobs else ()) if len({v[key] for v, _ in jobs}) > 1]
    keys = [key for key in varying if key != SEED]
    cells = _cells(keys, jobs)
    columns = {key: [cell.values[index] for cell in cells] for index, key in enumerate(keys)}
    trend_keys = [key for key, column in columns.items() if _is_continuous(column)]
    few = {key: column for key, column in columns.items() if key not in trend_keys}
    combinations = np.prod([len(set(column)) for column in few.values()])
    return Effects(
        jobs=len(jobs),
        cells=len(cells),
        spread=pooled_spread(cells),
        complete=len(set(zip(*few.values(), strict=True))) == combinations if few else True,
        keys=[Effect(key, _levels(key, few, cells)) for key in few],
        trends=[_trend(key, columns[key], cells) for key in trend_keys],
    )


def pooled_spread(cells: Sequence[Cell]) -> float | None:
    """Standard deviation within cells, or None if each cell has one number."""
    freedom = sum(len(cell.numbers) - 1 for cell in cells)
    squares = sum(float(np.var(cell.numbers)) * len(cell.numbers) for cell in cells)
    return float(np.sqrt(squares / freedom)) if freedom else None


def _cells(keys: list[str], jobs: Sequence[tuple[Mapping[str, str], float]]) -> list[Cell]:
    numbers: dict[Values, list[float]] = {}
    for values, number in jobs:
        numbers.setdefault(tuple(values[key] for key in keys), []).append(number)
    return [Cell(values, tuple(of_cell)) for values, of_cell in numbers.items()]


def _levels(key: str, columns: dict[str, list[str]], cells: list[Cell]) -> list[Level]:
    """The values of a key in the order in which they occur."""
    values = list(dict.fromkeys(columns[key]))
    means = np.array([cell.mean for cell in cells])
    counts = np.array([len(cell.numbers) for cell in cells])
    spread = pooled_spread(cells)
    weights = _weights(key, columns, values)
    levels = []
    for index, value in enumerate(values):
        with_value = [c for c, v in zip(cells, columns[key], strict=True) if v == value]
        effect = error = None
        if weights is not None:
            effect = float(weights[index] @ means)
            if spread is not None:
                # the variance of a cell's mean is spread^2 / count
                error = spread * float(np.sqrt((weights[index] ** 2 / counts).sum()))
        levels.append(
            Level(
                value=value,
                jobs=sum(len(cell.numbers) for cell in with_value),
                mean=float(np.mean([cell.mean for cell in with_value])),
                effect=effect,
                error=error,
                spread=pooled_spread(with_value),
            )
        )
    return levels


def _weights(
    key: str, columns: dict[str, list[str]], values: list[str]
) -> NDArray[np.float64] | None:
    """(values, cells) weights of the cells' means in the effect of each value of a key.

    A block holds the cells whose other keys are alike. In a block with all values of the key, the
    effect of a value is its mean minus the average over the values; an effect is the average over
    these blocks. None if there is no such block.
    """
    blocks: dict[Values, dict[str, list[int]]] = {}
    for cell, value in enumerate(columns[key]):
        other_values = tuple(column[cell] for other, column in columns.items() if other != key)
        blocks.setdefault(other_values, {}).setdefault(value, []).append(cell)
    complete = [block for block in blocks.values() if len(block) == len(values)]
    if not complete:
        return None
    means = np.zeros((len(values), len(columns[key])))  # weights of each value's own mean
    for block in complete:
        for index, value in enumerate(values):
            means[index, block[value]] = 1 / len(block[value]) / len(complete)
    weights: NDArray[np.float64] = means - means.mean(axis=0)
    return weights


def _is_continuous(column: Sequence[str]) -> bool:
    return len(set(column)) > _MOST_VALUES and all(map(_is_number, column))


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _trend(key: str, column: list[str], cells: list[Cell]) -> Trend:
    values = np.array([float(value) for value in column])
    means = np.array([cell.mean for cell in cells])
    correlation = None
    if np.ptp(values) > 0 and np.ptp(means) > 0:
        correlation = float(spearman_corrcoef(torch.from_numpy(values), torch.from_numpy(means)))
    thirds = []
    if len(cells) >= _FEWEST_CELLS:
        for part in np.array_split(np.argsort(values, kind="stable"), 3):
            lowest, highest = column[part[0]], column[part[-1]]
            thirds.append(Third(lowest, highest, len(part), float(means[part].mean())))
    return Trend(key, len(cells), correlation, thirds)
