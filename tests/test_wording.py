import pytest

from detkit.wording import counted, duration


@pytest.mark.parametrize(
    ("count", "noun", "text"),
    [
        (1, "class", "1 class"),
        (2, "class", "2 classes"),
        (0, "loader process", "0 loader processes"),
        (1, "batch", "1 batch"),
        (6000, "step", "6,000 steps"),
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
