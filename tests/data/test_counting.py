"""Numbers of things in words."""

import pytest

from detkit.data.counting import counted


@pytest.mark.parametrize(
    ("count", "noun", "text"),
    [
        (0, "image", "0 images"),
        (1, "image", "1 image"),
        (2, "image", "2 images"),
        (1, "box", "1 box"),
        (0, "box", "0 boxes"),
        (3, "class", "3 classes"),
        (1200, "crowd object", "1,200 crowd objects"),
        (2, "annotation file", "2 annotation files"),
    ],
)
def test_one_is_singular(count, noun, text):
    assert counted(count, noun) == text
