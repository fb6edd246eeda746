"""Every reader of a saved configuration translates the keys of earlier versions."""

from pathlib import Path

import pytest
import yaml

from detkit.runs import older_config
from detkit.runs.checkpoint_record import parse_record
from detkit.runs.frozen_config import read_config
from detkit.runs.run_record import read_run

SAVED = {"model": {"old": 1}}


def from_run_folder(folder: Path) -> object:
    (folder / "config.yaml").write_text(yaml.safe_dump(SAVED))
    return read_config(folder)


def from_config_file(folder: Path) -> object:
    (folder / "config.yaml").write_text(yaml.safe_dump(SAVED))
    return read_run(str(folder / "config.yaml")).config


def from_checkpoint(folder: Path) -> object:
    content = {"config": SAVED, "class_names": ["cat"], "category_ids": [1]}
    return parse_record(content, folder / "best.ckpt").config


@pytest.mark.parametrize("read", [from_run_folder, from_config_file, from_checkpoint])
def test_old_keys_are_translated(tmp_path, monkeypatch, read):
    translations = (lambda config: {"model": {"new": config["model"]["old"]}},)
    monkeypatch.setattr(older_config, "TRANSLATIONS", translations)
    assert read(tmp_path) == {"model": {"new": 1}}
