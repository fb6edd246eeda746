"""`hydra/sweeper=optuna`: its settings, its space and the messages before anything starts."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from detkit.api.training_config import new_training
from detkit.cli.main import main
from detkit.config.folders import conf_folder
from detkit.config.sweep_options import read_optuna
from detkit.errors import ConfigError
from detkit.sweeps.optuna_sweeper import space_of

SEARCH = ["train", "-m", "hydra/sweeper=optuna"]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"trails": 3}, "hydra.sweeper.trails: unknown key. Did you mean 'trials'?"),
        ({"trials": "x"}, "hydra.sweeper.trials: expected int > 0 or null, got 'x' (str)."),
        ({"trials": 3, "sampler": "tpee"}, "expected tpe | random | grid, got 'tpee' (str)."),
        ({}, "hydra.sweeper.trials: sampler tpe never stops on its own"),
    ],
)
def test_wrong_settings_are_told_like_any_wrong_key(given: dict, said: str):
    with pytest.raises(ConfigError) as error:
        read_optuna(given)
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("params", "said"),
    [
        (
            {"model/neck": ["fpn", "pan"]},
            "params.model/neck: expected values as on the command line",
        ),
        ({"hydra/launcher": "basic,joblib"}, "a search varies keys of the run, not of Hydra"),
        ({"++hydra.job.env_set.A": "1,2"}, "a search varies keys of the run, not of Hydra"),
        ({"model/nek": "fpn,pan"}, "there is no group 'model/nek'. Did you mean 'neck'?"),
        ({"model/neck@hydra.callbacks": "fpn,pan"}, "is refused"),
    ],
)
def test_a_search_space_of_another_run_is_refused(params: dict, said: str):
    with pytest.raises(ConfigError) as error:
        space_of(read_optuna({"trials": 1, "params": params}), [], OverridesParser.create())
    assert said in str(error.value)


def test_words_come_before_the_page():
    settings = read_optuna({"trials": 1, "params": {"seed": "1,2", "model/neck": "fpn,pan"}})
    space = space_of(settings, ["++seed=7", "model=fcos"], OverridesParser.create())
    assert space.lines() == ["++seed=7", "model=fcos", "model/neck=fpn,pan"]


def test_the_whole_space_is_checked_before_anything_starts(capfd, tmp_path, monkeypatch):
    pytest.importorskip("optuna")
    monkeypatch.chdir(tmp_path)
    words = ["hydra.sweeper.trials=3", "optimizer.learning_rat=interval(0.1,1)", "seed=0,x"]
    assert main([*SEARCH, *words, "model/neck=fpn,pann"]) == 2
    said = capfd.readouterr().err
    assert "optimizer.learning_rat: unknown key. Did you mean 'learning_rate'?" in said
    assert "model/neck: there is no neck 'pann'. Did you mean 'pan'?" in said
    assert "seed: expected int >= 0, got 'x' (str)." in said
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page.stem, marks=pytest.mark.slow if page.stem == "recipe" else ())
        for page in sorted((conf_folder() / "sweep").glob("*.yaml"))
    ],
)
def test_every_page_of_a_search_can_be_searched(page: str, capfd, tmp_path, monkeypatch):
    pytest.importorskip("optuna")
    monkeypatch.chdir(tmp_path)
    # A key that does not exist shows that all others of the page do.
    assert main(["train", "-m", f"sweep={page}", "sed=1"]) == 2
    said = capfd.readouterr().err
    assert said.startswith("error: sed: unknown key. Did you mean 'seed'?")
    (note,) = new_training([f"sweep={page}"]).notes
    assert note.startswith(f"note: this is one run with what sweep={page} sets")


def test_without_optuna_one_line_says_what_to_install(capfd, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *more: None if name == "optuna" else found(name)
    )
    assert main([*SEARCH, "seed=1,2", "hydra.sweeper.trials=2"]) == 2
    assert capfd.readouterr().err.splitlines()[-1].endswith('pip install "detkit[optuna]"')


def test_a_grid_says_that_it_lists_values(capfd, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["train", "-m", "optimizer.learning_rate=interval(0.1,1)"]) == 2
    assert "list some, or draw them with hydra/sweeper=optuna" in capfd.readouterr().err


def test_a_process_in_which_a_launcher_composes_knows_the_parts_of_plugins(tmp_path: Path):
    (tmp_path / "mine.py").write_text(
        "from detkit import register\n\n\n@register('neck', 'mine')\nclass Mine:\n    '''A.'''\n",
        encoding="utf-8",
    )
    program = (
        "from detkit.config.source import PartSource;"
        "print(PartSource('detkit', 'detkit-parts://registry').is_config('model/neck/mine'))"
    )
    environment = {"DETKIT_PLUGINS": str(tmp_path / "mine.py"), "PATH": ""}
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert done.stdout.strip() == "True", done.stderr
