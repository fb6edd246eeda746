"""Naming another part under a label replaces the old one completely."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from detkit.config.compose import compose, compose_with_origins
from detkit.config.lost_values import lost_values
from detkit.errors import ConfigError

MIRROR = {"name": "horizontal_flip", "probability": 0.5}
COLOURS = {"name": "color_jitter", "brightness": 0.2, "contrast": 0.2, "saturation": 0.2}
EXPERIMENT = """\
augmentation:
  train:
    colours: color_jitter
    resize: {name: resize_exact, height: 64, width: 96}
    extra: {name: vertical_flip}
    mirror: {probability: 0.1}
  close_mosaic: 3
callbacks: {pictures: {score_threshold: 0.25}}
"""


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Write a page into the user's folder."""
    monkeypatch.chdir(tmp_path)

    def write(name: str, text: str) -> None:
        file = tmp_path / f"conf/{name}.yaml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"# @package _global_\n{text}" if name.startswith("exp") else text)

    return write


def transforms(*words: str) -> dict[str, Any]:
    return dict(compose("train", list(words))["augmentation"]["train"])


# pain 39
def test_experiment_replaces_labels_that_it_names_and_tunes_the_others(
    page: Callable[[str, str], None],
) -> None:
    page("experiment/x", f"defaults: [{{override /augmentation: mosaic}}]\n{EXPERIMENT}")
    train = transforms("experiment=x")
    assert list(train)[:3] == ["resize", "mosaic", "perspective"]
    assert train["resize"] == {"name": "resize_exact", "height": 64, "width": 96}
    assert train["colours"] == COLOURS | {"hue": 0.0, "probability": 0.8}
    assert train["mirror"] == MIRROR | {"probability": 0.1}


# pain 39
def test_word_replaces_the_choice_of_an_experiment(page: Callable[[str, str], None]) -> None:
    page("experiment/x", EXPERIMENT)
    words = ["augmentation.train.colours.hue=0.01", "augmentation.train.resize=letterbox"]
    train = transforms("experiment=x", *words)
    assert train["colours"]["hue"] == 0.01
    assert train["resize"]["name"] == "letterbox"
    assert train["resize"]["height"] == 640


# pain 39
def test_page_that_inherits_replaces_labels_too(page: Callable[[str, str], None]) -> None:
    page("augmentation/mine", "defaults: [mosaic]\ntrain: {colours: {name: color_jitter}}\n")
    assert transforms("augmentation=mine")["colours"]["name"] == "color_jitter"


# pain 39
def test_page_on_the_command_line_is_stronger_than_an_experiment(
    page: Callable[[str, str], None],
) -> None:
    page("experiment/x", EXPERIMENT)
    words = ["experiment=x", "augmentation=ssd300"]
    plain = compose("train", words[1:])["augmentation"]
    composed = compose_with_origins("train", words)
    config = composed.config
    mirror = {"mirror": MIRROR | {"probability": 0.1}}
    assert config["augmentation"]["train"] == plain["train"] | mirror
    assert config["augmentation"]["close_mosaic"] == 3
    assert lost_values(composed) == [
        "augmentation=ssd300 discards these settings of conf/experiment/x.yaml: "
        "augmentation.train.colours, augmentation.train.resize, augmentation.train.extra"
    ]


# pain 39
def test_experiment_overrides_the_ones_it_includes(
    page: Callable[[str, str], None],
) -> None:
    page("experiment/x", EXPERIMENT)
    page("experiment/y", "defaults: [x, {override /augmentation: ssd300}]\n")
    page("experiment/z", "defaults: [y]\naugmentation: {train: {crop: {name: cut_out}}}\n")
    train = transforms("experiment=z")
    assert list(train) == list(transforms("augmentation=ssd300"))
    assert train["crop"]["name"] == "cut_out"
    assert train["resize"]["height"] == 300


def test_tuning_of_a_label_that_the_chosen_page_lacks_is_dropped(
    page: Callable[[str, str], None],
) -> None:
    page("experiment/x", EXPERIMENT)
    assert compose("train", ["experiment=x", "callbacks=null"])["callbacks"] == {}
    page("callbacks/mine", "progress: progress\n")
    assert list(compose("train", ["experiment=x", "callbacks=mine"])["callbacks"]) == ["progress"]
    with pytest.raises(ConfigError, match=r"callbacks\.pictures: a callback needs a name"):
        compose("train", ["experiment=x", "callbacks=mine", "callbacks.pictures.score_threshold=1"])


# pain 39
def test_neck_of_a_sequence_is_replaced_completely(page: Callable[[str, str], None]) -> None:
    necks = "model: {neck: {necks: {pan: {name: fpn, out_channels: 32}}}}\n"
    page("experiment/x", f"defaults: [{{override /model: yolov5n}}]\n{necks}")
    neck = compose("train", ["experiment=x"])["model"]["neck"]
    assert list(neck["necks"]) == ["spp", "pan"]
    assert neck["necks"]["pan"]["out_channels"] == 32
    assert "blocks" not in neck["necks"]["pan"]


def test_root_page_of_ones_own_names_parts(page: Callable[[str, str], None]) -> None:
    defaults = Path(__file__).parents[2].joinpath("conf/train.yaml").read_text()
    page("train", f"{defaults}\nmodel: {{neck: {{name: pan, out_channels: 32}}}}\n")
    neck = compose("train", ["model.neck.extra=p6p7_on_p5"])["model"]["neck"]
    assert (neck["name"], neck["out_channels"]) == ("pan", 32)


# pain 40
@pytest.mark.parametrize(
    ("text", "missing"),
    [
        ("train: {resize: resize}\n", "evaluation"),
        ("train: {resize: resize}\nevaluation:\n", "evaluation"),
        ("evaluation: {resize: resize}\n", "train"),
    ],
)
def test_page_without_one_of_its_lists_is_refused(
    text: str, missing: str, page: Callable[[str, str], None]
) -> None:
    page("augmentation/mine", text)
    with pytest.raises(
        ConfigError, match=rf"augmentation\.{missing}: mine\.yaml has no '{missing}'"
    ):
        compose("train", ["augmentation=mine"])
    words = ["augmentation=mine", f"augmentation.{missing}={{}}"]
    assert compose("train", words)["augmentation"][missing] == {}
