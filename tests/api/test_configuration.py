"""`detkit.compose` and the configuration that it returns."""

import copy
import os
import pickle

import pytest
import yaml

import detkit
from detkit.cli.main import main
from detkit.config.compose import compose as compose_root
from detkit.errors import ConfigError, UserError


@pytest.fixture(scope="module")
def config() -> detkit.Config:
    return detkit.compose(["model=fcos", "optimizer.learning_rate=0.02", "run_folder=runs/x"])


def test_values_are_read_by_path_or_by_key(config):
    assert config["optimizer.learning_rate"] == config["optimizer"]["learning_rate"] == 0.02
    assert type(config["model"]) is dict


def test_it_is_the_configuration_of_the_command_line(config):
    words = ["model=fcos", "optimizer.learning_rate=0.02", "run_folder=runs/x"]
    assert config == compose_root("train", words)


def test_changing_a_value_that_was_read_does_not_change_the_configuration(config):
    before = copy.deepcopy(config.to_dict())
    config["model"]["head"].clear()
    config.to_dict()["model"].clear()
    assert config == before
    with pytest.raises(TypeError, match="item assignment"):
        config["seed"] = 3


def test_a_missing_key_names_the_nearest(config):
    with pytest.raises(KeyError, match=r"optimizer has no key 'learning_rat'\. Did you mean"):
        config["optimizer.learning_rat"]
    with pytest.raises(KeyError, match="seed has no key 'x'"):
        config["seed.x"]
    assert "optimizer.momentum" in config
    assert config.get("nothing") is None


def test_yaml_reads_back_as_the_same_values(config):
    assert yaml.safe_load(config.to_yaml()) == config.to_dict()


def test_overrides_are_kept_and_a_copy_by_pickle_is_equal(config):
    assert config.overrides[:2] == ("model=fcos", "optimizer.learning_rate=0.02")
    assert pickle.loads(pickle.dumps(config)) == config


def test_history_names_default_and_command_line(config):
    steps = config.history("optimizer.learning_rate")
    assert [step.value for step in steps] == [0.01, 0.02]
    assert steps[-1].source == "command line: optimizer.learning_rate=0.02"
    with pytest.raises(UserError, match="optimizer: is a block; name one of its values"):
        config.history("optimizer")


def test_errors_equal_the_command_line(capsys):
    words = ["model=fcos", "optimizer.learning_rat=1", "seed=-1"]
    with pytest.raises(ConfigError) as caught:
        detkit.compose(words)
    assert main(["config", *words]) == 2
    printed = capsys.readouterr().err
    assert len(caught.value.problems) == 2
    assert all(problem in printed for problem in caught.value.problems)


@pytest.mark.parametrize("overrides", [{"seed": 1}, None, 3, [3], [b"seed=1"], [["seed=1"]]])
def test_overrides_are_a_list_of_strings(overrides):
    with pytest.raises(detkit.UserError, match="expected a list of strings, got "):
        detkit.compose(overrides)


def test_a_value_cannot_be_set(config):
    with pytest.raises(AttributeError):
        config.seed = 3
    with pytest.raises(TypeError):
        config["seed"] = 3


def test_a_key_that_is_no_string_is_missing(config):
    assert 3 not in config
    assert config.get(3) is None


def test_a_configuration_error_survives_pickling():
    with pytest.raises(detkit.ConfigError) as error:
        detkit.compose(["model=nope", "foo=1"])
    duplicate = pickle.loads(pickle.dumps(error.value))
    assert duplicate.problems == error.value.problems
    assert str(duplicate) == str(error.value)


def test_a_string_is_no_list_of_overrides():
    with pytest.raises(UserError, match="expected a list of strings, got 'model=fcos'"):
        detkit.compose("model=fcos")


def test_a_folder_of_pages_is_used_only_once(tmp_path, monkeypatch):
    monkeypatch.delenv("DETKIT_CONFIG_DIR", raising=False)
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment/mine.yaml").write_text("# @package _global_\nseed: 12\n")
    config = detkit.compose(["experiment=mine"], config_dir=tmp_path)
    assert config["seed"] == 12
    assert config.history("seed")[-1].source.endswith("mine.yaml, line 2")
    assert "DETKIT_CONFIG_DIR" not in os.environ
    with pytest.raises(ConfigError, match="there is no 'mine'"):
        detkit.compose(["experiment=mine"])


def test_automatic_choices_are_in_the_notes():
    config = detkit.compose(["model=faster_rcnn", "model/neck=pan"])
    assert config.notes[0].startswith("note: model.neck.extra: is p6p7_on_p5, as 'pan' has it")


def test_weights_bring_their_model(tiny_run):
    config = detkit.compose([f"weights={tiny_run.folder}", "data.path=elsewhere"])
    assert config["model"] == tiny_run.config["model"]
    assert any(note.startswith("model: the one of") for note in config.notes)
