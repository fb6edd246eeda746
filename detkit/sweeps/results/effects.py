"""What each swept key does to a number, apart from the other keys and from the seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

SEED = "seed"
_MOST_VALUES = 6  # numbers with more different values than this are ranked, not tabulated
_FEWEST_CELLS = 6  # for thirds of two
_NEGLIGIBLE = 1e-9
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Cell:
    """Jobs that differ in the seed only.

    Attributes:
        values: Of each key but the seed.
        numbers: What each job reached.
    """

    values: tuple[str, ...]
    numbers: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Over the seeds."""
        return float(np.mean(self.numbers))

    @property
    def squares(self) -> float:
        """The sum of squared differences from the mean."""
        return float(np.sum((np.array(self.numbers) - self.mean) ** 2))


@dataclass(frozen=True)
class Level:
    """One value of a key.

    Attributes:
        value: As text.
        jobs: How many jobs have it.
        mean: Of the means of its cells.
        effect: Difference from the mean over all values of the key, all other keys alike; None
            where the jobs that there are cannot tell it from another key's.
        error: Standard error of the effect by the spread over seeds; None where that is unknown.
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
    """A key with many numbers, as a search over an interval has.

    Attributes:
        key: The key.
        cells: How many.
        correlation: Spearman's, of the key's and the number's ranks over the cells, equal ones
            sharing the mean of their ranks; None where one of them does not vary.
        thirds: Means of the number, which show a best value in the middle, as a rank does not.
    """

    key: str
    cells: int
    correlation: float | None
    thirds: list[Third]


@dataclass(frozen=True)
class Effects:
    """What is known of all keys.

    Attributes:
        jobs: How many it is of.
        cells: How many cells they make.
        spread: Standard deviation over the seeds, pooled over all cells; None with one seed each.
        complete: Whether there is a cell for each combination of the values of the `keys`.
        keys: Keys with few values.
        trends: Keys with many numbers.
    """

    jobs: int
    cells: int
    spread: float | None
    complete: bool
    keys: list[Effect]
    trends: list[Trend]


def effects(jobs: Sequence[tuple[Mapping[str, str], float]]) -> Effects:
    """Marginal effects of all keys that vary.

    Jobs that differ in the seed only make a cell c with n_c numbers and their mean y_c. The model
    is additive, y_c = m + sum over keys k of a_k(value of k in c), with the a_k of each key summing
    up to zero, and is fitted to the means of the cells by least squares, each cell counting once.
    Where there is a cell for each combination this is the mean over the cells with a value minus
    the mean of all; where some are missing it compares like with like as far as the model holds
    (Searle, Speed and Milliken, 1980, Population marginal means in the linear model: an alternative
    to least squares means, The American Statistician 34 (4), pages 216 to 221). An effect that the
    cells do not determine is None.

    The spread over seeds is s with s^2 = sum_c sum_i (y_ci - y_c)^2 / sum_c (n_c - 1). An effect is
    a weighted sum of the means, sum_c w_c y_c, so its standard error by the seeds alone is
    s sqrt(sum_c w_c^2 / n_c).

    Args:
        jobs: Values by key and the number that was reached, for each job.
    """
    varying = [key for key in (jobs[0][0] if jobs else ()) if len({v[key] for v, _ in jobs}) > 1]
    keys = [key for key in varying if key != SEED]
    cells = _cells(keys, jobs)
    columns = {key: [cell.values[place] for cell in cells] for place, key in enumerate(keys)}
    ranked = [key for key, column in columns.items() if _is_continuous(column)]
    few = {key: column for key, column in columns.items() if key not in ranked}
    combinations = np.prod([len(set(column)) for column in few.values()])
    return Effects(
        jobs=len(jobs),
        cells=len(cells),
        spread=pooled_spread(cells),
        complete=len(set(zip(*few.values(), strict=True))) == combinations if few else True,
        keys=_fitted(few, cells) if few else [],
        trends=[_trend(key, columns[key], cells) for key in ranked],
    )


def pooled_spread(cells: Sequence[Cell]) -> float | None:
    """Standard deviation within cells, or None where each has one number."""
    freedom = sum(len(cell.numbers) - 1 for cell in cells)
    return float(np.sqrt(sum(cell.squares for cell in cells) / freedom)) if freedom else None


def _cells(keys: list[str], jobs: Sequence[tuple[Mapping[str, str], float]]) -> list[Cell]:
    numbers: dict[tuple[str, ...], list[float]] = {}
    for values, number in jobs:
        numbers.setdefault(tuple(values[key] for key in keys), []).append(number)
    return [Cell(values, tuple(found)) for values, found in numbers.items()]


def _fitted(columns: dict[str, list[str]], cells: list[Cell]) -> list[Effect]:
    levels = {key: list(dict.fromkeys(column)) for key, column in columns.items()}
    design = np.column_stack(
        [np.ones(len(cells)), *(_coded(columns[key], levels[key]) for key in columns)]
    )
    inverse = np.linalg.pinv(design)
    determined = inverse @ design  # the identity where the cells determine all
    means = np.array([cell.mean for cell in cells])
    counts = np.array([len(cell.numbers) for cell in cells])
    spread = pooled_spread(cells)
    found, place = [], 1
    for key, column in columns.items():
        wide = len(levels[key]) - 1
        of_key = []
        for number, value in enumerate(levels[key]):
            contrast = np.zeros(design.shape[1])
            contrast[place : place + wide] = -1.0 if number == wide else np.eye(wide)[number]
            weights = contrast @ inverse  # w_c
            known = np.allclose(contrast @ determined, contrast, atol=_NEGLIGIBLE)
            error = (
                spread * float(np.sqrt((weights**2 / counts).sum())) if spread is not None else None
            )
            with_value = [c for c, v in zip(cells, column, strict=True) if v == value]
            of_key.append(
                Level(
                    value=value,
                    jobs=sum(len(cell.numbers) for cell in with_value),
                    mean=float(np.mean([cell.mean for cell in with_value])),
                    effect=float(weights @ means) if known else None,
                    error=error if known else None,
                    spread=pooled_spread(with_value),
                )
            )
        found.append(Effect(key, of_key))
        place += wide
    return found


def _coded(column: list[str], levels: list[str]) -> Array:
    """(cells, levels - 1): a column for each level but the last, which is -1 in all of them."""
    rows = np.vstack([np.eye(len(levels) - 1), -np.ones(len(levels) - 1)])
    coded: Array = rows[[levels.index(value) for value in column]]
    return coded


def _is_continuous(column: Sequence[str]) -> bool:
    return len(set(column)) > _MOST_VALUES and all(_as_number(v) is not None for v in column)


def _as_number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _trend(key: str, column: list[str], cells: list[Cell]) -> Trend:
    values = np.array([float(value) for value in column])
    means = np.array([cell.mean for cell in cells])
    ranks, of_means = mean_ranks(values), mean_ranks(means)
    varies = np.ptp(ranks) > 0 and np.ptp(of_means) > 0
    correlation = float(np.corrcoef(ranks, of_means)[0, 1]) if varies else None
    thirds = []
    if len(cells) >= _FEWEST_CELLS:
        for part in np.array_split(np.argsort(values, kind="stable"), 3):
            lowest, highest = column[part[0]], column[part[-1]]
            thirds.append(Third(lowest, highest, len(part), float(means[part].mean())))
    return Trend(key, len(cells), correlation, thirds)


def mean_ranks(values: Array) -> Array:
    """Ranks from 1; equal values share the mean of theirs."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    ranks: Array = (ends - (counts - 1) / 2)[place]
    return ranks
