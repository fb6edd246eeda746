"""Names of splits; a random part never replaces a declared split."""

import pytest

from detkit.data.splits import choose_training, choose_validation, find_split, role_of
from detkit.errors import DataError


@pytest.mark.parametrize(("name", "available", "match"), [
    ("val", ["train", "valid"], "valid"), ("valid", ["train", "val"], "val"),
    ("validation", ["val"], "val"), ("val", ["Val"], "Val"), ("test", ["testing"], "testing"),
    ("train", ["trainval", "test"], "trainval"), ("val", ["vall"], None),
    ("trainval", ["train"], None),
    ("extra", ["extra", "train"], "extra"),
])  # fmt: skip
def test_a_name_means_a_split_also_by_another_word_for_it(name, available, match):
    assert find_split(name, available) == match


@pytest.mark.parametrize(("split", "role"), [("Valid", "val"), ("trainval", "train"), ("x", None)])
def test_a_split_has_the_role_of_its_name(split, role):
    assert role_of(split) == role


@pytest.mark.parametrize("available", [[], ["train"], ["default"], ["train", "trainval"]])
def test_without_other_splits_a_fraction_is_held_back(available):
    assert choose_validation("val", available) is None


# pain 32
@pytest.mark.parametrize("available", [["train", "vall"], ["test", "train"], ["a", "b"]])
def test_another_split_is_never_replaced_by_a_fraction(available):
    with pytest.raises(DataError, match=r"has no validation split; it has .*validation_split=null"):
        choose_validation("val", available)


def test_null_holds_a_fraction_back():
    assert choose_validation(None, ["train", "val"]) is None


def test_a_split_that_the_user_names_must_exist():
    with pytest.raises(DataError, match=r"data.validation_split=x: the data set has no such split"):
        choose_validation("x", ["train", "val"])


@pytest.mark.parametrize(("available", "split"), [([], None), (["default"], "default")])
def test_the_only_split_is_trained_on(available, split):
    assert choose_training("train", available) == split


def test_a_single_test_split_is_not_trained_on():
    with pytest.raises(DataError, match=r"data.train_split=train: .* it has test"):
        choose_training("train", ["test"])
