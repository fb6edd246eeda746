"""The sides of `detkit config diff`: runs, pages, words."""

from __future__ import annotations

import pytest
import yaml

from detkit.cli.compared import read_side
from detkit.cli.main import main
from detkit.config.compose import compose
from detkit.errors import UserError


@pytest.mark.slow
def test_two_experiments_are_compared(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["config", "diff", "experiment=small_data", "experiment=demo"]) == 1
    shown = capsys.readouterr().out
    assert "data.reader" in shown
    assert "auto" in shown
    assert "optimizer.learning_rate" in shown


@pytest.mark.parametrize(
    ("side", "words"),
    [
        ("model=fcos image_size=320", ["model=fcos", "image_size=320"]),
        ("fcos", ["model=fcos"]),
        pytest.param("mosaic", ["augmentation=mosaic"], marks=pytest.mark.slow),
        ("augmentation/ssd300", ["augmentation=ssd300"]),
        pytest.param("demo", ["experiment=demo"], marks=pytest.mark.slow),
        ("small_data", ["experiment=small_data", "data.path=FOLDER"]),
    ],
)
def test_a_page_or_overrides_are_composed(side, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config, expected = dict(read_side(side).config), compose("train", words)
    assert {**config, "run_folder": ""} == {**expected, "run_folder": ""}


def test_a_run_is_compared_with_an_experiment(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    config = compose("train", ["experiment=demo", "optimizer.learning_rate=0.5"])
    (tmp_path / "runs/config.yaml").write_text(yaml.safe_dump(config))
    assert main(["config", "diff", "runs", "demo"]) == 1
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert ["optimizer.learning_rate", "0.5", "0.003"] in lines


def test_the_file_of_a_page_is_the_page(tmp_path, monkeypatch):
    folder = tmp_path / "conf" / "experiment"
    folder.mkdir(parents=True)
    (folder / "mine.yaml").write_text("# @package _global_\nseed: 5\n")
    monkeypatch.chdir(tmp_path)
    assert read_side("conf/experiment/mine.yaml").config["seed"] == 5


@pytest.mark.parametrize(
    ("side", "message"),
    [
        ("smal_data", r"'smal_data' is not a run, .* or page\. Did you mean 'small_data'\?"),
        (
            "ssd300",
            "several pages have the name 'ssd300': write one of model=ssd300, augmentation=",
        ),
    ],
)
def test_an_unknown_or_ambiguous_side_is_an_error(side, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=message):
        read_side(side)
