"""The commands of docs/sweeps.md are valid."""

from __future__ import annotations

import dataclasses
import re
import shlex
from pathlib import Path

import pytest
from hydra import compose as hydra_compose
from hydra.core.override_parser.overrides_parser import OverridesParser

from detkit.cli.main import COMMANDS, VERBS
from detkit.config import compose
from detkit.config.hydra_session import hydra_session
from detkit.config.sweep_jobs import multirun
from detkit.config.sweep_options import OptunaOptions, read_optuna
from detkit.sweeps.optuna_sweeper import space_of

PAGE = (Path(__file__).parents[2] / "docs/sweeps.md").read_text(encoding="utf-8")


def sweeps() -> list[list[str]]:
    """The words of each sweep in the page's blocks, without the explanations."""
    lines = re.findall(r"^ *(?:exec )?detkit ((?:plan|sweep) .*)$", PAGE, re.MULTILINE)
    words = [shlex.split(re.split(r" {3,}", line)[0]) for line in lines]
    return [each for each in words if each[1] not in VERBS["sweep"]]


def test_there_are_sweeps_to_type():
    assert {words[0] for words in sweeps()} <= set(COMMANDS)
    assert len(sweeps()) == 5


@pytest.mark.parametrize("words", sweeps(), ids=" ".join)
def test_every_sweep_can_be_composed(words: list[str], tmp_path: Path, monkeypatch):
    (tmp_path / "conf/sweep").mkdir(parents=True)
    page = re.search(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    assert page is not None
    (tmp_path / "conf/sweep/mine.yaml").write_text(page[1], encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    others = [word for word in words[1:] if "submitit" in word or "hydra.launcher" in word]
    known = multirun("train", compose.prepare([w for w in words[1:] if w not in others]))
    searched = any("sweep=mine" in word or "optuna" in word for word in words)
    assert known.sweeper == ("optuna" if searched else "listed")


def test_the_page_of_the_example_is_a_search(tmp_path: Path, monkeypatch):
    (tmp_path / "conf/sweep").mkdir(parents=True)
    page = re.search(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    assert page is not None
    (tmp_path / "conf/sweep/mine.yaml").write_text(page[1], encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    words = compose.prepare(["sweep=mine"])
    with hydra_session():
        composed = hydra_compose("train", words, return_hydra_config=True)
    settings = read_optuna(composed.hydra.sweeper)
    assert (settings.trials, settings.pruner, settings.min_epochs) == (20, "asha", 2)
    assert len(space_of(settings, [], OverridesParser.create()).dimensions) == 2


def test_the_table_of_settings_has_them_all():
    rows = re.findall(r"^\| (`\w+`(?:, `\w+`)?) \| (.*?) \|", PAGE, re.MULTILINE)
    told = {name: default for names, default in rows for name in re.findall(r"\w+", names)}
    assert set(told) == {field.name for field in dataclasses.fields(OptunaOptions)}
    for name in ("sampler", "pruner", "min_epochs", "seed"):
        assert str(getattr(OptunaOptions(), name)) == told[name].strip("`")
