"""Studies on disk: drawn once, gone on with, shared; no job is run here."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

pytest.importorskip("optuna")

from detkit.errors import UserError
from detkit.sweeps.search.optuna_study import StoredStudy
from detkit.sweeps.search.search_space import Space, read_space
from detkit.sweeps.search.trial import Trial

LEARNING_RATE = "optimizer.learning_rate=tag(log, interval(1e-4, 1e-1))"


def space_of(*words: str) -> Space:
    return read_space(OverridesParser.create().parse_overrides(list(words)))


def one(study: StoredStudy) -> Trial:
    """Draw a trial, give it a job and end it with a value computed from its overrides."""
    with study.drawing():
        trial = study.draw()
        assert trial is not None
        study.assign(trial, study.file.parent / f"job{trial.number}")
    study.complete(trial.number, float(trial.words[0].partition("=")[2]))
    return trial


def test_one_seed_draws_the_same_trials_also_by_processes_that_are_ended(tmp_path: Path):
    space = space_of(LEARNING_RATE, "model/neck=fpn,pan")
    study = StoredStudy(tmp_path / "a", space, seed=3)
    undisturbed = [one(study).words for _ in range(13)]  # beyond the first ten, which are random
    again = [one(StoredStudy(tmp_path / "b", space, seed=3)).words for _ in range(13)]
    other = one(StoredStudy(tmp_path / "c", space, seed=4)).words
    assert undisturbed == again
    assert len(set(undisturbed)) == 13
    assert other not in undisturbed
    assert study.ranking()[0] == max(study.trials(), key=lambda trial: trial.value or 0)


@pytest.mark.parametrize("sampler", ["tpe", "random", "grid"])
def test_a_finite_space_is_drawn_whole_and_nothing_twice(tmp_path: Path, sampler):
    space = space_of("seed=1,2,3", "model/neck=fpn,pan,bifpn")
    # Two processes by turns.
    studies = [StoredStudy(tmp_path / "study", space, sampler=sampler) for _ in range(2)]
    drawn = [one(studies[turn % 2]).words for turn in range(9)]
    assert len(set(drawn)) == 9
    assert [study.draw() for study in studies] == [None, None]
    if sampler == "grid":
        assert drawn == [tuple(space.words(cell)) for cell in space.cells()]


def test_a_trial_without_a_job_is_drawn_again_and_one_with_a_job_stays(tmp_path: Path):
    space = space_of("seed=1,2,3")
    study = StoredStudy(tmp_path / "study", space, sampler="grid")
    with study.drawing():
        kept = study.draw()
        assert kept is not None
        study.assign(kept, tmp_path / "job")
        study.draw()  # and the process is killed here
    later = StoredStudy(tmp_path / "study", space, sampler="grid")
    with later.drawing():
        later.void_lost()
        assert [(t.number, t.folder) for t in later.running()] == [(kept.number, tmp_path / "job")]
        drawn = later.draw()
    assert drawn is not None
    assert drawn.words == ("seed=3",)
    with later.drawing():
        later.void_lost()
    assert len(later.trials()) == 1


def test_asha_stops_trials_outside_the_best_quarter(tmp_path: Path):
    study = StoredStudy(
        tmp_path / "study", space_of("seed=range(0,9)"), pruner="asha", min_epochs=2
    )
    ended = []
    for value in (0.5, 0.4, 0.6, 0.3):
        with study.drawing():
            trial = study.draw()
        assert trial is not None
        assert not study.report(trial.number, {1: 0.0})  # before min_epochs nobody is ended
        ended.append(study.report(trial.number, {1: 0.0, 2: value, 3: value}))
        if ended[-1]:
            assert study.trials()[-1].pruned
            study.prune(trial.number)
    assert ended == [False, True, False, True]


def test_the_median_stops_trials_below_it_once_five_are_complete(tmp_path: Path):
    study = StoredStudy(tmp_path / "study", space_of("seed=range(0,9)"), pruner="median")
    ended = []
    for value in (0.1, 0.2, 0.3, 0.4, 0.5, 0.2, 0.35):
        with study.drawing():
            trial = study.draw()
        assert trial is not None
        ended.append(study.report(trial.number, {1: value}))
        study.complete(trial.number, value)
    assert ended == [False] * 5 + [True, False]


def test_a_nan_metric_is_a_failure(tmp_path: Path):
    study = StoredStudy(tmp_path / "study", space_of("seed=1,2"))
    for value in (float("nan"), None):
        with study.drawing():
            trial = study.draw()
        assert trial is not None
        study.complete(trial.number, value)
    assert [(trial.value, trial.state) for trial in study.trials()] == [(None, "failed")] * 2
    assert study.trials()[0].note == "its metric is not a number"


def test_another_study_is_refused_with_the_differences(tmp_path: Path):
    StoredStudy(tmp_path / "study", space_of("seed=1,2", "model=fcos"))
    with pytest.raises(UserError) as error:
        StoredStudy(tmp_path / "study", space_of("seed=1,2,3", "model=fcos"))
    assert "+ seed=1,2,3\n" in str(error.value)
    assert "- seed=1,2\n" in str(error.value)
    assert "model=fcos" not in str(error.value)


def test_a_file_other_than_a_journal_is_unchanged(tmp_path: Path):
    (tmp_path / "notes").write_text("half a line", encoding="utf-8")
    with pytest.raises(UserError, match="is no journal of an Optuna study"):
        StoredStudy(tmp_path / "notes", space_of("seed=1,2"))
    assert (tmp_path / "notes").read_text(encoding="utf-8") == "half a line"


def test_a_line_that_a_kill_cut_off_spoils_nothing(tmp_path: Path):
    space = space_of("seed=1,2,3")
    one(StoredStudy(tmp_path / "study", space))
    with (tmp_path / "study").open("a", encoding="utf-8") as file:
        file.write(json.dumps({"op_code": 4})[:9])
    one(StoredStudy(tmp_path / "study", space))
    assert len(StoredStudy(tmp_path / "study", space).trials()) == 2
