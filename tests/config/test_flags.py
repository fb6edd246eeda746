"""Hydra's flags: handed on, or refused with what to use instead."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hydra.core.object_type import ObjectType

from detkit.cli.main import main
from detkit.config.flags import split_flags, take_config_folder
from detkit.config.source import PartSource
from detkit.errors import ConfigError


@pytest.mark.parametrize("flag", [["-cn", "x"], ["--config-name", "x"], ["--config-name=x"]])
def test_root_page_of_ones_own_is_an_experiment(flag: list[str]) -> None:
    with pytest.raises(ConfigError, match=r"conf/experiment/NAME\.yaml.*experiment=NAME"):
        split_flags(flag)


@pytest.mark.parametrize("flag", [["-cp", "x"], ["--config-path=x"]])
def test_folder_of_pages_has_another_flag(flag: list[str]) -> None:
    with pytest.raises(ConfigError, match="use --config-dir FOLDER"):
        split_flags(flag)


@pytest.mark.parametrize("flag", [["-cd", "F"], ["--config-dir", "F"], ["--config-dir=F"]])
def test_folder_of_pages_is_taken(
    flag: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DETKIT_CONFIG_DIR", "")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "F").mkdir()
    assert split_flags([*flag, "seed=1"]) == ([], [*flag, "seed=1"])
    assert take_config_folder([*flag, "seed=1"]) == ["seed=1"]
    assert os.environ["DETKIT_CONFIG_DIR"] == str(tmp_path / "F")


def test_flags_that_exclude_each_other(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "-m", "--cfg", "job", "trainer.max_epoch=3"]) == 2
    assert "use only one of the flags -m and --cfg" in capsys.readouterr().err


def test_groups_below_groups_are_listed_to_an_end() -> None:
    """Hydra's help walks through all of them; a backbone may hold a backbone."""
    source = PartSource("detkit", "detkit-parts://registry")
    waiting, groups = ["model"], []
    while waiting:
        groups.append(waiting.pop())
        inner = source.list(groups[-1], ObjectType.GROUP)
        waiting += [f"{groups[-1]}/{name}" for name in inner]
    assert "model/head/box_loss" in groups
    assert "model/backbone/backbone" not in groups
    assert max(group.count("/") for group in groups) == 2
