"""Search spaces in Hydra's grammar."""

from __future__ import annotations

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hypothesis import given, settings
from hypothesis import strategies as st

from detkit.errors import ConfigError
from detkit.sweeps.search.dimensions import Interval
from detkit.sweeps.search.search_space import Space, read_space


def space_of(*words: str) -> Space:
    return read_space(OverridesParser.create().parse_overrides(list(words)))


def test_each_way_of_writing_values_is_understood():
    space = space_of(
        "++optimizer.learning_rate=tag(log, interval(1e-4, 1e-1))",
        "model/neck=fpn,pan",
        "++seed=range(1,7,2)",
        "++model.head.layers.convs=int(interval(1, 4))",
        "++model.head.alpha=range(0.5,2,0.5)",
        "++data.size=[64,96],[128,'a b']",
        "model=fcos",
    )
    assert space.lines() == [
        "model=fcos",
        "data.size=[64,96],[128,'a b']",
        "model.head.alpha=sort(0.5,1.0,1.5)",
        "model.head.layers.convs=int(interval(1,4))",
        "model/neck=fpn,pan",
        "optimizer.learning_rate=tag(log,interval(0.0001,0.1))",
        "seed=sort(1,3,5)",
    ]


def test_the_last_word_for_a_key_counts():
    space = space_of("seed=1,2", "model/neck=fpn,pan", "seed=5", "model/neck=pan,bifpn")
    assert space.fixed == ("seed=5",)
    assert [dimension.values for dimension in space.dimensions] == [("pan", "bifpn")]


def test_a_grid_has_every_cell_once():
    space = space_of("seed=range(0,3)", "model/neck=fpn,pan,fpn")
    cells = [tuple(space.words(cell)) for cell in space.cells()]
    assert space.size == len(cells) == len(set(cells)) == 6
    assert cells[:2] == [("seed=0", "model/neck=fpn"), ("seed=0", "model/neck=pan")]


def test_the_examples_hold_every_choice_and_both_bounds():
    space = space_of("a=x,y,z", "b=interval(0.5,2)", "c=range(1,9)")
    found = {word for cell in space.examples() for word in space.words(cell)}
    assert found == {"a=x", "a=y", "a=z", "b=0.5", "b=2.0", "c=1", "c=8"}


@settings(max_examples=50)
@given(st.floats(1e-9, 1e9), st.floats(1e-9, 1e9), st.floats(0, 1))
def test_a_drawn_number_is_short_and_stays_inside_its_bounds(one, other, part):
    low, high = min(one, other), max(one, other)
    text = Interval("a", low, high, log=False).text(low + part * (high - low))
    assert low <= float(text) <= high
    assert text in (repr(low), repr(high)) or float(text) == float(f"{float(text):.4g}")


@pytest.mark.parametrize(
    ("word", "said"),
    [
        ("a=interval(2,1)", "a: interval(2.0, 1.0) needs a lower bound below the upper"),
        ("a=tag(log,interval(0,1))", "a: a logarithmic interval starts above 0, got 0.0"),
        ("a=tag(lg,interval(1,2))", "a: there is no tag 'lg'. Did you mean 'log'?"),
        ("a=tag(log,choice(1,2))", "a: the tag 'log' is for numbers"),
        ("a=range(3,3)", "a: range(3,3,1) holds no number"),
        ("a=tag(log,range(1,9,2))", "a: a logarithmic range has whole numbers above 0"),
        ("a=5", "there is nothing to search"),
    ],
)
def test_what_cannot_be_drawn_is_said(word: str, said: str):
    with pytest.raises(ConfigError) as error:
        space_of(word)
    assert said in str(error.value)


def test_an_interval_has_no_grid():
    with pytest.raises(ConfigError, match="a: an interval has no grid: list values"):
        space_of("a=interval(0,1)", "b=1,2").cells()
