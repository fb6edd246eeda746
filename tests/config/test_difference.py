import pytest

from detkit.config.difference import ABSENT, Difference, differences, value_text

FPN = {"name": "fpn", "out_channels": 256, "extra": "p6p7"}
PAN = {"name": "pan", "out_channels": 128}


def test_equal_configurations_have_none():
    config = {"model": {"neck": dict(FPN)}, "seed": 0, "plugins": []}
    assert differences(config, {"plugins": [], "seed": 0, "model": {"neck": dict(FPN)}}) == []


def test_values_are_found_by_path_in_the_order_of_the_first():
    before = {"trainer": {"max_epochs": 2, "devices": 1}, "seed": 0}
    after = {"seed": 1, "trainer": {"max_epochs": 3, "devices": 1}}
    found = differences(before, after)
    assert found == [Difference("trainer.max_epochs", 2, 3), Difference("seed", 0, 1)]
    assert str(found[0]) == "trainer.max_epochs: 2 -> 3"


def test_a_replaced_part_is_one_difference():
    (found,) = differences({"model": {"neck": FPN}}, {"model": {"neck": PAN}})
    assert found == Difference("model.neck", FPN, PAN)
    assert str(found) == "model.neck: fpn -> pan"


def test_a_part_set_to_null_is_one_difference():
    (found,) = differences({"logger": None}, {"logger": {"name": "wandb", "project": "x"}})
    assert str(found) == "logger: null -> wandb"


def test_values_of_one_side_are_absent_on_the_other():
    found = differences({"a": {"x": 1}}, {"a": {"y": None}})
    assert found == [Difference("a.x", 1, ABSENT), Difference("a.y", ABSENT, None)]
    assert list(map(str, found)) == ["a.x: 1 -> absent", "a.y: absent -> null"]


@pytest.mark.parametrize(
    ("before", "after", "differ"),
    [
        (1, 1.0, False),
        (1, True, True),
        (0, False, True),
        ("1", 1, True),
        ([1, 2], (1, 2.0), False),
        ([1, 2], [1], True),
        ([1], [True], True),
        ([{"a": 1}], [{"a": 2}], True),
        (None, False, True),
        ({}, None, True),
    ],
)
def test_differences_between_values(before, after, differ):
    assert bool(differences({"key": before}, {"key": after})) is differ


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("a b", "a b"),
        ("", '""'),
        ("12", '"12"'),
        ("null", '"null"'),
        (12, "12"),
        (" a", '" a"'),
        ("a\nb", '"a\\nb"'),
        (float("inf"), ".inf"),
        ([0.75, "é"], '[0.75, "é"]'),
        (FPN, "fpn"),
    ],
)
def test_values_read_on_one_line(value, text):
    assert value_text(value) == text
