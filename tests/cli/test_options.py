import pytest

from detkit.cli.options import split_options
from detkit.errors import UserError


def test_paths_and_options_are_distinguished(tmp_path):
    existing = tmp_path / "a=b"
    existing.mkdir()
    words = ["folder", "format='coco'", str(existing), "sub/x=1"]
    paths, values = split_options("data convert", words, ("format",))
    assert paths == ["folder", str(existing), "sub/x=1"]
    assert values == {"format": ["coco"]}


def test_an_unknown_option_is_named_with_the_nearest_one():
    message = r"has no option 'srt'\. Did you mean 'sort'\? Options: sort=\.\.\.\. Try srt=1"
    with pytest.raises(UserError, match=message):
        split_options("x", ["srt=1"], ("sort",), hint=" Try {word}")


def test_a_repeated_option_is_refused_unless_it_is_repeatable():
    with pytest.raises(UserError, match=r"sort=\.\.\. is given 2 times"):
        split_options("x", ["sort=a", "sort=b"], ("sort",))
    _, values = split_options("x", ["where=a", "where=b"], ("where",), repeatable=("where",))
    assert values == {"where": ["a", "b"]}
