"""Naming a part replaces it completely, and keys tune it, in any order and spelling."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import permutations

import pytest

from detkit.config.compose import compose
from detkit.config.part_overrides import hydra_words, without_replaced
from detkit.errors import ConfigError

GIOU = {"name": "toy_giou", "weight": 2, "mode": "log"}
NAMES = [
    "model.head.box_loss=toy_giou",
    "model/head/box_loss=toy_giou",
    "model.head.box_loss.name=toy_giou",
    "model.head.box_loss={name: toy_giou}",
    "model.head={box_loss: toy_giou}",
    "model={head: {box_loss: {name: toy_giou}}}",
]


# pain 38
@pytest.mark.parametrize("name", NAMES)
def test_part_is_named_and_tuned_in_any_order(name: str, composed: Callable) -> None:
    tuning = ["model.head.box_loss.weight=2", "model.head.box_loss={mode: log}"]
    assert composed(*tuning, name)["model"]["head"]["box_loss"] == GIOU
    assert hydra_words([*tuning, name]) == hydra_words([name, *tuning])


# pain 38
def test_no_setting_of_the_old_part_remains(composed: Callable) -> None:
    model = composed("model.neck.out_channels=64", "model.neck.name=toy_pan")["model"]
    assert model["neck"] == {"name": "toy_pan", "out_channels": 64}
    head = composed("model.head={name: toy_fcos, box_loss: {name: toy_l1, weight: 5}}")
    assert head["model"]["head"] == {
        "name": "toy_fcos",
        "radius": 1.5,
        "box_loss": {"name": "toy_l1", "weight": 5},
    }


@pytest.mark.parametrize(
    ("words", "box_loss"),
    [
        (["model.head.box_loss=toy_l1", "model.head.box_loss=toy_giou"], "toy_giou"),
        (["model/head/box_loss=toy_giou", "model.head.box_loss={name: toy_l1}"], "toy_l1"),
        (
            ["model.head.box_loss=toy_l1", "model.head={name: toy_fcos, box_loss: toy_giou}"],
            "toy_l1",
        ),
        (["model.head={name: toy_fcos, box_loss: toy_l1}", "model.head=toy_fcos"], "toy_giou"),
    ],
    ids=["last", "last of two ways", "inner", "outer again"],
)
def test_of_two_names_the_last_or_the_inner_one_counts(
    words: list[str], box_loss: str, composed: Callable
) -> None:
    assert composed(*words)["model"]["head"]["box_loss"]["name"] == box_loss


def test_values_of_a_part_chosen_again_are_dropped(composed: Callable) -> None:
    words = ["model.head.box_loss={name: toy_giou, weight: 7}", "model.head.box_loss=toy_giou"]
    assert composed(*words)["model"]["head"]["box_loss"]["weight"] == 1.0


# pain 38
@pytest.mark.parametrize("name", ["toy_pam", "{name: toy_pam, out_channels: 3}"])
def test_unknown_name_beside_a_key_is_an_error(name: str, composed: Callable) -> None:
    with pytest.raises(ConfigError, match=r"there is no neck 'toy_pam'.*Did you mean 'toy_pan'"):
        composed(f"model.neck={name}", "model.neck.out_channels=64")


@pytest.mark.parametrize("removal", ["model.head.quality_loss=null", "~model/head/quality_loss"])
def test_removed_part_cannot_be_tuned(removal: str, composed: Callable) -> None:
    tuning = "model.head.quality_loss.alpha=0.5"
    for words in permutations([removal, tuning]):
        with pytest.raises(ConfigError, match=f"removes what {tuning} changes"):
            hydra_words(words)


@pytest.mark.parametrize("mapping", ["model.neck={}", "model={head: {}}", "trainer={}"])
def test_mapping_that_changes_nothing_is_refused(mapping: str) -> None:
    with pytest.raises(ConfigError, match=f"^{re.escape(mapping)}: changes nothing"):
        hydra_words([f"++{mapping}"])


# pain 38
@pytest.mark.parametrize(
    "name", ["callbacks.average=ema", "callbacks.average={name: ema}", "callbacks={average: ema}"]
)
def test_labelled_part_is_set_to_null_before_it_is_named(name: str) -> None:
    tuning = "++callbacks.average.decay=0.9"
    named = ["++callbacks.average=null", "++callbacks.average={name: ema}"]
    for words in permutations([name, tuning]):
        assert hydra_words(words) == [*named, tuning]


# pain 38
def test_labelled_parts_are_replaced_completely_in_place() -> None:
    words = [
        "model=yolov5n",
        "augmentation.train.resize.height=96",
        "augmentation.train.resize=letterbox",
        "model.neck.necks.pan.out_channels=32",
        "model.neck.necks.pan=fpn",
    ]
    config = compose("train", words)
    assert list(config["augmentation"]["train"]) == ["resize", "mirror"]
    assert config["augmentation"]["train"]["resize"]["name"] == "letterbox"
    assert config["augmentation"]["train"]["resize"]["height"] == 96
    assert config["model"]["neck"]["necks"]["pan"]["out_channels"] == 32
    assert "blocks" not in config["model"]["neck"]["necks"]["pan"]


def test_rewriting_again_changes_nothing() -> None:
    words = ["model/neck=pan", "++callbacks.a=ema", "~experiment", "++trainer.max_epochs=3"]
    once = hydra_words(words)
    assert hydra_words(once) == once


def test_sweep_and_a_value_of_the_same_part_replace_each_other() -> None:
    sweep, value = "++model.neck=fpn,pan", "model/neck=fpn"
    assert without_replaced([sweep, value]) == [value]
    assert without_replaced([value, sweep]) == [sweep]
    tuning = "++model.neck={out_channels: 64}"
    assert without_replaced([sweep, tuning]) == [sweep, tuning]


@pytest.mark.parametrize("value", [["stem"], {"parts": ["neck"]}])
def test_freeze_replaces_the_mapping_of_a_page(value: object) -> None:
    page = compose("train", ["experiment=finetune", "data=shapes", "weights=null"])
    assert page["freeze"] == {"parts": ["backbone"], "until": 10}
    word = f"freeze={value}".replace("'", "").replace(" ", "")
    words = ["experiment=finetune", "data=shapes", "weights=null", word]
    assert compose("train", words)["freeze"] == value
