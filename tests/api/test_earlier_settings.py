"""`settings=RUN`: the settings of an earlier run for a new one."""

from __future__ import annotations

import pytest
import yaml

from detkit.api.earlier_settings import MOST_LINES, changed_settings
from detkit.api.training_config import new_training
from detkit.config.compose import compose
from detkit.errors import ConfigError, UserError

RUN = [
    "model=fcos",
    "optimizer=adamw",
    "optimizer.learning_rate=0.003",
    "data=shapes",
    "data.batch_size=3",
    "trainer.max_epochs=5",
    "callbacks=average",
    "image_size=320",
    "seed=7",
    "run_name=first",
]


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "first").mkdir()
    config = compose("train", RUN)
    (tmp_path / "first/config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    return config


def test_a_new_run_takes_all_settings_and_a_folder_of_its_own(run):
    config = new_training(["settings=first"]).config
    differing = {key for key in config if config[key] != run[key]}
    assert differing <= {"run_folder"}
    assert "first" in config["run_folder"]


def test_words_are_stronger_than_the_settings(run):
    words = ["settings=first", "optimizer=sgd", "data.path=X", "trainer.max_epochs=2", "seed=1"]
    config = new_training([*words, "image_size=416"]).config
    assert (config["optimizer"]["name"], config["seed"]) == ("sgd", 1)
    assert (config["data"]["reader"]["name"], config["data"]["batch_size"]) == ("auto", 3)
    assert config["trainer"]["max_epochs"] == 2
    assert config["augmentation"]["evaluation"]["resize"]["long_side"] == 416


def test_another_model_with_the_settings_of_a_run(run):
    config = new_training(["settings=first", "model=retinanet"]).config
    assert config["model"]["head"]["priors"]["name"] == "anchors"
    assert config["data"]["batch_size"] == 3


def test_an_experiment_beside_the_settings_of_a_run_is_refused(run):
    with pytest.raises(
        UserError, match="settings=first experiment=demo: both choose a whole train"
    ):
        new_training(["settings=first", "experiment=demo"])


def test_a_wrong_word_beside_the_settings_is_named(run):
    with pytest.raises(ConfigError, match=r"optimizer\.momentm"):
        new_training(["settings=first", "optimizer.momentm=1"])


# pain 44
def test_unused_weights_of_a_run_are_named(run):
    lines = changed_settings("first", run, compose("train", ["model=fcos", "data.path=X"]))
    assert lines[0].startswith("weights=first takes only the model; these settings differ")
    shown = "\n".join(lines)
    assert "  image_size: 320 -> null" in lines
    assert "  optimizer: adamw -> sgd" in lines
    assert "data.path" not in shown
    assert len(lines) <= MOST_LINES + 3
    assert lines[-1] == "settings=first takes all its settings."


def test_nothing_is_named_where_no_setting_differs(run):
    assert (
        changed_settings("first", run, new_training(["settings=first", "data.path=X"]).config) == []
    )


def test_settings_of_no_run_change_nothing() -> None:
    assert new_training(["settings=null"]).config["optimizer"]["name"] == "sgd"
