"""`KEY: null` and `KEY: {}` in a page leave out what they name; a bare word chooses a page."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from detkit.config.compose import compose
from detkit.errors import ConfigError

HEADER = "# @package _global_\n"


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Write a page into the user's folder."""
    monkeypatch.chdir(tmp_path)

    def write(name: str, text: str) -> None:
        file = tmp_path / f"conf/{name}.yaml"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"{HEADER}{text}" if name.startswith("experiment") else text)

    return write


# pain 64
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("model: {neck: null}", r"model\.neck: a neck is missing.*conf/experiment/x\.yaml, line 2"),
        ("model: {head: {box_loss: ~}}", r"model\.head\.box_loss: a loss is missing"),
        ("defaults: [{override /model/neck: null}]", r"model\.neck: a neck is missing"),
        (
            "optimizer: null",
            "optimizer: an optimizer is missing; choose one of adadelta, adagrad, adam",
        ),
    ],
)
def test_required_part_removed_by_an_experiment_is_not_the_default(
    page: Callable[[str, str], None], text: str, message: str
) -> None:
    page("experiment/x", text)
    with pytest.raises(ConfigError, match=message):
        compose("train", ["experiment=x"])


# pain 64
@pytest.mark.parametrize(
    ("name", "start"),
    [
        ("experiment/x", "model: "),
        ("model/x", "defaults: [yolo_free_n]\n"),
        ("model/x", "name: one_stage\n"),
    ],
)
def test_optional_part_removed_by_a_page_is_not_the_default(
    page: Callable[[str, str], None], name: str, start: str
) -> None:
    head = "head: {name: yolo_free, distribution_loss: null}"
    page(name, f"{start}{{{head}}}\n" if start == "model: " else f"{start}{head}\n")
    chosen = name.replace("/", "=")
    assert compose("train", [chosen])["model"]["head"]["distribution_loss"] is None
    word = "model.head.distribution_loss=distribution_focal"
    loss = compose("train", [chosen, word])["model"]["head"]["distribution_loss"]
    assert loss["name"] == "distribution_focal"


# pain 64
def test_part_on_the_command_line_is_stronger_than_null_in_a_page(
    page: Callable[[str, str], None],
) -> None:
    page("experiment/x", "model: {neck: null}\ncallbacks: null\naugmentation: {train: {}}\n")
    words = ["model.neck=pan", "callbacks=average", "augmentation=mosaic"]
    config = compose("train", ["experiment=x", *words])
    assert config["model"]["neck"]["name"] == "pan"
    assert config["callbacks"]["average"]["name"] == "ema"
    assert "mosaic" in config["augmentation"]["train"]


# pain 64
def test_empty_mapping_of_labels_in_a_page_removes_all(page: Callable[[str, str], None]) -> None:
    page("experiment/x", "callbacks: {}\naugmentation: {train: {}}\n")
    page("augmentation/mine", "defaults: [mosaic]\ntrain: {}\n")
    config = compose("train", ["experiment=x"])
    assert config["callbacks"] == config["augmentation"]["train"] == {}
    assert config["augmentation"]["evaluation"]
    assert compose("train", ["augmentation=mine"])["augmentation"]["train"] == {}


def test_bare_word_in_a_page_chooses_a_page(page: Callable[[str, str], None]) -> None:
    page("model/neck/mine", "name: pan\nout_channels: 96\n")
    page("experiment/x", "model: fcos\naugmentation: mosaic\ncallbacks: average\n")
    page("experiment/y", "defaults: [x]\nmodel: {neck: mine}\naugmentation: standard\n")
    config = compose("train", ["experiment=y"])
    assert config["model"]["head"]["assigner"]["name"] == "fcos"
    assert config["model"]["neck"]["out_channels"] == 96
    assert list(config["augmentation"]["train"]) == ["resize", "mirror"]
    assert config["callbacks"]["average"]["name"] == "ema"
    words = ["experiment=y", "model=atss", "model.neck=fpn"]
    model = compose("train", words)["model"]
    assert model["head"]["assigner"]["name"] == "atss"
    assert model["neck"]["out_channels"] == 256


def test_wrong_name_of_a_page_in_a_page(page: Callable[[str, str], None]) -> None:
    page("experiment/x", "model: fcs\n")
    with pytest.raises(ConfigError, match=r"model: there is no 'fcs'. Did you mean 'fcos'\?"):
        compose("train", ["experiment=x"])
