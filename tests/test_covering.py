"""A small sample that covers a product of choices."""

from itertools import combinations, product

from covering import covering_rows

ROWS = list(product("abcd", "xyz", "12", "+-"))


def test_every_pair_is_in_the_sample():
    sample = [ROWS[position] for position in covering_rows(ROWS)]
    assert {pair for row in sample for pair in combinations(enumerate(row), 2)} == {
        pair for row in ROWS for pair in combinations(enumerate(row), 2)
    }


def test_the_sample_is_near_the_least_possible():
    assert 12 <= len(covering_rows(ROWS)) <= 16  # 4 x 3 pairs of the two longest axes


def test_pairs_of_other_columns_are_not_needed():
    rows = list(product("ab", "cd", "ef"))
    chosen = covering_rows(rows, columns=[(0, 1)])
    assert {rows[position][:2] for position in chosen} == set(product("ab", "cd"))
    assert len(chosen) == 4
