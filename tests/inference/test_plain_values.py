"""Values of the command line without Hydra."""

import pytest

from detkit.errors import UserError
from detkit.inference.plain_values import block_in_words, plain_text, plain_value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("nms", "nms"),
        (".8", 0.8),
        ("[1, -2, 1e-3]", [1, -2, 0.001]),
        ("{flip: true, scales: [.5,1.0]}", {"flip": True, "scales": [0.5, 1.0]}),
        ("{name: 'soft_nms', sigma: 1}", {"name": "soft_nms", "sigma": 1}),
        ("null", None),
    ],
)
def test_values_are_read_as_hydra_reads_them(text, value):
    assert plain_value("key", text, "key=1") == value


def test_a_value_that_cannot_be_read_is_named():
    with pytest.raises(UserError, match=r"tta=\{flip: : cannot be read; write it like tta=\{a: 1"):
        plain_value("tta", "{flip: ", "tta={a: 1}")


def test_words_of_a_block_come_together():
    words = ["a={x: 1, y: 2}", "b=3", "+a.x=4"]
    assert block_in_words(words, "a", "a={x: 1}") == ({"x": 4, "y": 2}, ["b=3"])
    assert block_in_words(["b=3"], "a", "a={x: 1}") == (None, ["b=3"])


def test_text_of_a_value_can_be_read_again():
    value = {"size": [640, 320], "merge": {"name": "nms"}, "full_image": False, "overlap": 0.2}
    assert plain_value("key", plain_text(value), "") == value
