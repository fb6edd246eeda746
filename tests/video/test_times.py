"""Positions in a video, and which frames are used."""

import pytest

from detkit.errors import UserError
from detkit.video.times import Selection, seconds_of


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("12.5", 12.5), (3, 3.0), ("1:30", 90.0), ("1:02:03.5", 3723.5), (None, None), ("0:05", 5.0)],
)
def test_seconds_and_clock_times(text, seconds):
    assert seconds_of(text, "start") == seconds


@pytest.mark.parametrize("text", ["soon", "-3", "1:75", "nan", "inf", ""])
def test_other_texts_are_refused(text):
    with pytest.raises(UserError, match=r"start=.*expected seconds such as 12.5, or a time"):
        seconds_of(text, "start")


@pytest.mark.parametrize("every", [0, -1, 1.5, True])
def test_every_is_a_whole_number(every):
    with pytest.raises(UserError, match=r"every=.*whole number above 0"):
        Selection(every)


def test_an_end_before_the_start_is_refused():
    with pytest.raises(UserError, match=r"end=0:10: expected a time after start=12"):
        Selection(start=12, end="0:10")


@pytest.mark.parametrize(
    ("selection", "frames"),
    [
        (Selection(), 100),
        (Selection(every=3), 34),
        (Selection(start=2), 50),
        (Selection(start=1, end=2, every=5), 5),
        (Selection(end=60), 100),
    ],
)
def test_the_number_of_frames_is_estimated(selection, frames):
    assert selection.frames_of(duration=4.0, rate=25.0) == frames


def test_a_live_source_has_an_unknown_number_of_frames_unless_it_ends():
    assert Selection().frames_of(None, 25.0) is None
    assert Selection(end=2).frames_of(None, 25.0) == 50
