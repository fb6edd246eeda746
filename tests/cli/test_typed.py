"""Words of the command line as people type them."""

from __future__ import annotations

import pytest

from detkit.cli.typed import as_settings
from detkit.errors import UserError


@pytest.mark.parametrize(
    ("word", "setting"),
    [
        ("--optimizer.learning_rate=0.01", "optimizer.learning_rate=0.01"),
        ("--model/neck=pan", "model/neck=pan"),
        ("--run-name=a", "run_name=a"),
        ("--cfg=job", "--cfg=job"),
        ("--config-dir=pages", "--config-dir=pages"),
        ("-m", "-m"),
        ("~model.neck", "~model.neck"),
        ("weights=~", "weights=~"),
    ],
)
def test_a_setting_with_dashes_is_the_setting(word, setting):
    assert as_settings([word]) == [setting]


@pytest.mark.parametrize("key", ["data.path", "ckpt", "--source", "plugins", "--config-dir"])
@pytest.mark.parametrize("value", ["~/a b", "'~/x'", "[~/x,~/y]", "~/x,~/y"])
def test_the_home_folder_is_expanded_in_every_value(key, value, monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    (word,) = as_settings([f"{key}={value}"])
    assert word.partition("=")[2] == value.replace("~", "/home/me")


def test_a_tilde_inside_a_name_stays():
    assert as_settings(["data.path=a~/b", "data.path=/x/~/y"]) == [
        "data.path=a~/b",
        "data.path=/x/~/y",
    ]


def test_a_value_in_the_next_word_is_answered_with_the_way_to_write_it():
    with pytest.raises(
        UserError, match=r"no flag '--epochs'\. Settings are written KEY=VALUE: epochs=3"
    ):
        as_settings(["--epochs", "3"])
