"""Values of YAML against types."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

import pytest
from annotated_types import Ge, Len, Lt

from detkit.config.value_types import check_value, convert, type_text, unwritable
from detkit.errors import UserError
from detkit.evaluation.class_frequencies import Limits
from detkit.registry import Fraction, NonNegativeFloat, PositiveInt

FITTING = [
    (int, 3),
    (int, -(10**30)),
    (float, 3),
    (float, 1e-4),
    (float, math.inf),
    (bool, True),
    (str, "3"),
    (Any, {"a": [1, None]}),
    (int | None, None),
    (Literal["relu", "exp"], "exp"),
    (Fraction, 1),
    (PositiveInt | Literal["auto"], "auto"),
    (tuple[int, int], [1, 2]),
    (tuple[int, ...], (1, 2, 3)),
    (list[list[float]], [[1, 2.5], []]),
    (dict[str, int], {"a": 1}),
    (float | list[float], [1, 2]),
]
UNFITTING = [
    (int, True, "int"),
    (int, "3", "int"),
    (int, 3.0, "int"),
    (float, True, "float"),
    (float, "1e-4", "float"),
    (float, math.nan, "float"),
    (list[float], [math.nan], "list of float"),
    (Any, math.nan, "anything"),
    (str, 3, "text"),
    (bool, 1, "true or false"),
    (int, None, "int"),
    (Fraction, 1.2, "float 0..1"),
    (NonNegativeFloat, -1, "float >= 0"),
    (PositiveInt | None, 0, "int > 0 or null"),
    (Literal["relu", "exp"], "gelu", "relu | exp"),
    (Literal["16", "bf16"], 16, '"16" | bf16'),
    (Literal["on", "off"], False, '"on" | "off"'),
    (tuple[int, int], [1, 2, 3], "[int, int]"),
    (tuple[int, ...], [1, 2.5], "list of int (item 2 is 2.5)"),
    (list[PositiveInt], [3, 0], "list of int > 0 (item 2 is 0)"),
    (dict[str, int], {1: 2}, "mapping of text to int"),
    (dict[str, int], {"a": "b"}, "mapping of text to int"),
    (list[int], {"a": 1}, "list of int"),
    (Limits | None, [9, 9], "ascending [int > 0, int > 0] or null"),
    (float, {1}, "float"),
]


@pytest.mark.parametrize(("annotation", "value"), FITTING, ids=str)
def test_fits(annotation, value):
    assert check_value(annotation, value) is None


@pytest.mark.parametrize(("annotation", "value", "expected"), UNFITTING, ids=str)
def test_message_states_the_expected_values(annotation, value, expected):
    assert check_value(annotation, value) == expected


def test_convert_gives_the_type_itself():
    assert convert(tuple[int, int], [1, 2]) == (1, 2)
    assert isinstance(convert(float, 3), float)
    assert convert(list[tuple[float, float]], [[0, math.inf]]) == [(0.0, math.inf)]


def test_convert_refuses_values_of_the_wrong_type():
    with pytest.raises(UserError, match=r"got 'x', expected int > 0"):
        convert(PositiveInt, "x")


@pytest.mark.parametrize(
    ("annotation", "text"),
    [
        (Annotated[int, Ge(1), Lt(5)], "int >= 1 and < 5"),
        (Annotated[float, Ge(0), Lt(1)] | None, "float >= 0 and < 1 or null"),
        (Annotated[list[int], Len(2)], "list of int with at least 2 items"),
        (tuple[float, float, float], "[float, float, float]"),
        (list, "list"),
        (Literal[1, 2], "1 | 2"),
        (Literal["true", "none"], '"true" | none'),
    ],
    ids=str,
)
def test_type_text(annotation, text):
    assert type_text(annotation) == text


class Thing:
    pass


@pytest.mark.parametrize(
    ("annotation", "found"),
    [
        (list[int | None], None),
        (dict[str, tuple[int, ...]], None),
        (Thing, Thing),
        (list[Thing], Thing),
        (Thing | None, Thing),
        (dict[int, str], dict[int, str]),
        (Annotated[list[Thing], Len(1)], Thing),
    ],
    ids=str,
)
def test_unwritable_finds_the_type_that_yaml_cannot_hold(annotation, found):
    assert unwritable(annotation) == found
