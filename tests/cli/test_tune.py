"""`detkit tune`: the table, the suggestion, the files, and errors."""

import json
import shlex
from types import SimpleNamespace

import pytest
from tiny_run import TINY

from detkit.cli import tune_learning_rate
from detkit.cli.main import main
from detkit.tuning.range_test import RangeTest

FALLING = RangeTest(
    rates=[10.0 ** (step / 10 - 6) for step in range(60)],
    losses=[3.0] * 30 + [3.0 - step / 10 for step in range(10)] + [2.0] * 20,
    has_diverged=False,
)
FLAT = RangeTest(FALLING.rates, [3.0] * 60, has_diverged=False)


@pytest.fixture
def tuned(monkeypatch, tmp_path, blank_figures):
    """Runs the command with a result that no training has to make."""
    monkeypatch.chdir(tmp_path)
    config = {"data": {"path": "photos", "batch_size": 4}}
    training = SimpleNamespace(notes=[], composed=None, config=config)
    monkeypatch.setattr(tune_learning_rate, "new_training", lambda words: training)
    monkeypatch.setattr(tune_learning_rate, "lost_values", lambda composed: [])
    monkeypatch.setattr(tune_learning_rate, "check_start", lambda config: None)

    def run(result, *words):
        monkeypatch.setattr(tune_learning_rate, "range_test", lambda config, **_: result)
        return main(["tune", "learning_rate", *words])

    return run


def test_the_words_to_train_with_are_printed_and_written(tuned, capsys, tmp_path):
    words = ["seed=3", "optimizer.learning_rate=5", "run_name=my run"]
    assert tuned(FALLING, *words, "output=out") == 0
    out = capsys.readouterr().out
    content = json.loads((tmp_path / "out/learning_rate.json").read_text())
    assert content["losses"] == FALLING.losses
    assert content["command"] in out
    rate = f"optimizer.learning_rate={content['suggestion']:g}"
    assert shlex.split(content["command"]) == ["detkit", "train", "seed=3", "run_name=my run", rate]
    assert (tmp_path / "out/learning_rate.png").exists()


def test_without_a_suggestion_the_exit_code_is_1(tuned, capsys, tmp_path):
    assert tuned(FLAT, "output=null") == 1
    assert "no suggestion: the loss does not fall" in capsys.readouterr().out
    assert not [path for path in tmp_path.iterdir() if path.suffix in (".json", ".png")]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["learning_rte"], "there is no 'detkit tune learning_rte'. Did you mean 'learning_rate'?"),
        (["learning_rate", "steps=many"], "steps: expected int > 0, got 'many'"),
        (["learning_rate", "ckpt=RUN"], "ckpt=... resumes a run, but detkit tune starts from"),
    ],
)
def test_bad_words_are_one_error(words, message, capsys):
    assert main(["tune", *words]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.slow
def test_a_small_training_gets_a_suggestion(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["tune", "learning_rate", *TINY]) == 0
    content = json.loads((tmp_path / "learning_rate/learning_rate.json").read_text())
    assert 1e-3 < content["suggestion"] < 0.1
    assert not (tmp_path / "runs").exists()
