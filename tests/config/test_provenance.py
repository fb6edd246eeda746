"""Origins of values, on toy parts."""

from collections.abc import Callable
from pathlib import Path

import pytest

from detkit.config import compose
from detkit.config.provenance import Explanation, History
from detkit.errors import UserError

EXPERIMENT = """\
# @package _global_
defaults: [{override /block: large}]
model:
  neck: {name: toy_pan, out_channels: 128}
  head:
    convs: 5
block: {size: 9}
"""


@pytest.fixture
def explain(write: Callable[[str, str], Path]) -> Callable[..., list[Explanation]]:
    write("experiment/x", EXPERIMENT)
    write("block/large", "path: there\nsize: 7\n")

    def history(key: str, *words: str) -> list[Explanation]:
        config = compose.compose("toy", list(words))
        return History("toy", config, list(words)).explain(key)

    return history


def steps(found: list[Explanation]) -> list[tuple[object, str]]:
    (leaf,) = found
    return [(step.value, step.source.split(" (")[0]) for step in leaf.steps]


# pain 7
def test_a_value_tells_each_place_that_it_overrode(explain: Callable) -> None:
    words = ["experiment=x", "model.neck.out_channels=64"]
    (found,) = explain("model.neck.out_channels", *words)
    assert found.value == 64
    assert found.meaning == "int > 0: Channels of each level."
    assert steps([found]) == [
        (256, "default of neck 'toy_pan'"),
        (128, "experiment/x.yaml, line 4"),
        (64, "command line: model.neck.out_channels=64"),
    ]
    assert found.steps[0].source.endswith("toy_parts.py)")


# pain 7
def test_a_replaced_part_leaves_its_name_in_the_history_and_no_value(explain: Callable) -> None:
    found = explain("model.neck.name", "experiment=x", "model/neck=toy_fpn")
    assert [value for value, _ in steps(found)] == ["toy_fpn", "toy_pan", "toy_fpn"]
    assert steps(found)[-1][1] == "command line: model/neck=toy_fpn"
    assert steps(explain("model.neck.out_channels", "experiment=x", "model/neck=toy_fpn")) == [
        (256, "default of neck 'toy_fpn'")
    ]


def test_a_part_that_a_page_names_without_values_comes_from_that_page(
    explain: Callable, write: Callable[[str, str], Path]
) -> None:
    write("experiment/y", "# @package _global_\nmodel: {neck: toy_pan}\n")
    assert steps(explain("model.neck.name", "experiment=y"))[-1] == (
        "toy_pan",
        "experiment/y.yaml, line 2",
    )


def test_a_page_that_a_page_chose_and_tuned(explain: Callable) -> None:
    assert steps(explain("block.size", "experiment=x")) == [
        (3, "default of the block 'block'"),
        (7, "block/large.yaml, line 2"),
        (9, "experiment/x.yaml, line 7"),
    ]
    assert steps(explain("block.path", "experiment=x")) == [("there", "block/large.yaml, line 1")]


def test_a_block_explains_each_value_in_it(explain: Callable) -> None:
    found = explain("model.neck")
    assert [each.path for each in found] == [
        f"model.neck.{key}" for key in ("name", "out_channels", "extra")
    ]
    assert found[0].meaning == "neck: Neck for tests."


def test_a_part_without_a_choice_is_the_default_of_its_owner(explain: Callable) -> None:
    assert steps(explain("model.head.box_loss.name")) == [
        ("toy_l1", "default of head 'toy_retina' for its box_loss")
    ]


def test_words_that_give_a_part_whole_or_by_its_bare_name(explain: Callable) -> None:
    whole = "model.head.box_loss={name: toy_giou, weight: 4.0}"
    assert steps(explain("model.head.box_loss.weight", whole))[-1] == (
        4.0,
        f"command line: {whole}",
    )
    bare = "model.head.box_loss=toy_giou"
    assert steps(explain("model.head.box_loss.name", bare))[-1] == (
        "toy_giou",
        f"command line: {bare}",
    )


def test_an_interpolation_shows_both_its_text_and_its_value(explain: Callable) -> None:
    assert steps(explain("title", "title=${block.path}"))[-2:] == [
        ("${block.path}", "command line: title=${block.path}"),
        ("here", "resolved interpolation"),
    ]


# pain 8
def test_a_mistyped_key_names_the_nearest(explain: Callable) -> None:
    with pytest.raises(UserError, match=r"no key 'model\.nek\.out_chanels'.*'model\.neck\.out_cha"):
        explain("model.nek.out_chanels")
    with pytest.raises(UserError, match=r"no key 'blok'.*Did you mean 'block'"):
        explain("blok")


def test_wired_values_are_explained(explain: Callable) -> None:
    with pytest.raises(UserError, match=r"feature_specs: is filled in by detkit .* neck 'toy_fpn'"):
        explain("model.neck.feature_specs")


# pain 8
def test_a_key_misspelt_in_a_page_is_named_with_its_line(
    explain: Callable, write: Callable[[str, str], Path]
) -> None:
    write("experiment/wrong", "# @package _global_\nmodel:\n  neck: {out_chanels: 3}\n")
    with pytest.raises(UserError, match=r"'out_channels'\? .*experiment/wrong\.yaml, line 3"):
        explain("model.neck", "experiment=wrong")
