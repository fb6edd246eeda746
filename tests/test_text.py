import pytest

from detkit.text import (
    agree,
    align_columns,
    brief_value,
    counted,
    duration,
    file_size,
    listed,
    memory_size,
    shortened,
    split_setting,
    text_width,
)


@pytest.mark.parametrize(
    ("count", "noun", "text"),
    [
        (1, "class", "1 class"),
        (2, "class", "2 classes"),
        (0, "loader process", "0 loader processes"),
        (1, "batch", "1 batch"),
        (6000, "step", "6,000 steps"),
        (1, "box", "1 box"),
        (0, "box", "0 boxes"),
        (1200, "crowd object", "1,200 crowd objects"),
        (2, "annotation file", "2 annotation files"),
    ],
)
def test_counts_have_the_right_plural(count, noun, text):
    assert counted(count, noun) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-3, "0 s"),
        (59.4, "59 s"),
        (60, "1 min"),
        (200, "3 min 20 s"),
        (2040, "34 min"),
        (3599, "1 h"),
        (7500, "2 h 5 min"),
        (86399, "1 d"),
        (273600, "3 d 4 h"),
    ],
)
def test_durations_have_their_largest_units(seconds, text):
    assert duration(seconds) == text


def test_a_verb_agrees_with_its_count():
    assert [agree(count, "is", "are") for count in (0, 1, 2)] == ["are", "is", "are"]


@pytest.mark.parametrize(
    ("names", "text"),
    [("", ""), ("a", "a"), ("ab", "a and b"), ("abc", "a, b and c"), ([1, 2], "1 and 2")],
)
def test_names_are_listed_as_in_a_sentence(names, text):
    assert listed(names) == text


def test_a_list_takes_another_conjunction():
    assert listed(["png", "jpg"], "or") == "png or jpg"


def test_sizes_have_units():
    assert file_size(12_345_678) == "12.3 MB"
    assert memory_size(3 * 2**30 / 2, digits=2) == "1.50 GiB"


def test_numbers_align_at_the_right():
    rows = [["name", "AP", "note"], ["cat", "0.5", "x"], ["dog", "12.25", ""]]
    lines = align_columns(rows, right_aligned=[1])
    assert lines == ["name     AP  note", "cat     0.5  x", "dog   12.25"]


def test_wide_letters_and_combining_marks_keep_columns_aligned():
    assert (text_width("猫"), text_width("e\u0301")) == (2, 1)
    assert align_columns([["猫", "1"], ["ab", "2"]], gap=1) == ["猫 1", "ab 2"]


def test_long_cells_are_cut_only_on_request():
    assert align_columns([["abcdef"]]) == ["abcdef"]
    assert align_columns([["abcdef"]], longest=4) == ["abc…"]


def test_shortened_text_is_on_one_line():
    assert shortened("a\n  b") == "a b"


@pytest.mark.parametrize(
    ("text", "brief"),
    [("0.01", "0.01"), ("0.00123456789", "0.001235"), ("resnet50_fpn_v2", "resnet50_fpn_v2")],
)
def test_long_numbers_are_rounded(text, brief):
    assert brief_value(text) == brief


@pytest.mark.parametrize(
    ("word", "setting"),
    [("a.b=1", ("a.b", "1")), ("++a=b=c", ("a", "b=c")), ("folder", ("folder", ""))],
)
def test_a_setting_splits_at_the_first_equals_sign(word, setting):
    assert split_setting(word) == setting
