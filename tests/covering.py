"""A small sample of a product of choices that covers each pair of choices."""

from collections.abc import Collection, Hashable, Sequence
from itertools import combinations

import pytest


def covering_rows(
    rows: Sequence[Sequence[Hashable]], columns: Collection[tuple[int, int]] | None = None
) -> set[int]:
    """Positions of rows that together cover every pair of values.

    Passes over the rows keep those with many new pairs first, so that few rows are enough.

    Args:
        rows: The product, or what is allowed of it.
        columns: Pairs of columns whose values are to meet; None means every two columns.
    """
    pairs = [
        {
            (first, second)
            for first, second in combinations(enumerate(row), 2)
            if columns is None or (first[0], second[0]) in columns
        }
        for row in rows
    ]
    missing: set[Hashable] = set().union(*pairs)
    chosen: set[int] = set()
    for least_new in range(max(map(len, pairs)), 0, -1):
        for position, row_pairs in enumerate(pairs):
            if len(row_pairs & missing) >= least_new:
                chosen.add(position)
                missing -= row_pairs
    return chosen


def pairs_first(
    rows: Sequence[Sequence[Hashable]], columns: Collection[tuple[int, int]] | None = None
) -> list:
    """The rows, each one test parameter: a covering sample by default, all others marked slow."""
    chosen = covering_rows(rows, columns)
    return [
        pytest.param(row, marks=() if position in chosen else pytest.mark.slow)
        for position, row in enumerate(rows)
    ]
