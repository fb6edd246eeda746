"""A sweep over the names of parts and over their arguments trains what its table says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from detkit.cli.main import main
from detkit.config import compose, sweep_jobs
from detkit.runs.frozen_config import read_frozen
from detkit.sweeps.estimates.sweep_plan import with_params
from detkit.sweeps.jobs.job import Job
from detkit.sweeps.search.run_search import report
from detkit.sweeps.search.search_space import read_space

LOSSES = ["model.head.box_loss.weight=1,2", "model.head.box_loss=giou,{name: diou, weight: 3}"]


@pytest.fixture
def sweep(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[Job]]:
    """Queue the jobs of a sweep and train none."""
    started: list[Job] = []
    monkeypatch.setattr(
        "detkit.sweeps.jobs.run_jobs.run", lambda _, jobs, pool: started.extend(jobs)
    )
    monkeypatch.chdir(tmp_path)

    def queue(*words: str, model: str = "fcos") -> list[Job]:
        started.clear()
        assert main(["sweep", f"model={model}", *words]) == 0
        return list(started)

    return queue


def swept(jobs: list[Job], key: str) -> list[Any]:
    parts = [read_frozen(job.folder)["model"]["head"][key] for job in jobs]
    return [(part["name"], part.get("weight")) for part in parts]


# pain 38
def test_every_row_is_what_ran(sweep: Callable[..., list[Job]]) -> None:
    jobs = sweep(*LOSSES)
    ran = zip(jobs, swept(jobs, "box_loss"), strict=True)
    rows = {(name, weight, "diou" in " ".join(job.words)) for job, (name, weight) in ran}
    assert rows == {("giou", 1, False), ("giou", 2, False), ("diou", 1, True), ("diou", 2, True)}


# pain 38
@pytest.mark.slow
def test_a_page_and_a_search_sweep_parts_by_name(
    tmp_path: Path, sweep: Callable[..., list[Job]]
) -> None:
    page = tmp_path / "conf/experiment/losses.yaml"
    page.parent.mkdir(parents=True)
    params = "{model.head.box_loss.weight: '2,3', model.head.box_loss: 'giou,diou'}"
    page.write_text(f"# @package _global_\nhydra: {{sweeper: {{params: {params}}}}}\n")
    jobs = sweep("experiment=losses", "model/head/box_loss=ciou,giou")
    assert set(swept(jobs, "box_loss")) == {("ciou", 2), ("giou", 2), ("ciou", 3), ("giou", 3)}


# pain 38
@pytest.mark.slow
def test_hydras_own_launchers_train_the_named_part_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configs: list[dict[str, Any]] = []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        "detkit.cli.train.start", lambda config, in_process: (configs.append(config), 0)
    )
    words = ["hydra/launcher=basic", "model=fcos", "model.head.box_loss=giou,diou"]
    assert main(["sweep", *words, "model.head.box_loss.weight=3"]) == 0
    losses = [config["model"]["head"]["box_loss"] for config in configs]
    assert losses == [
        {"name": name, "weight": 3} | losses[0] | {"name": name} for name in ("giou", "diou")
    ]


@pytest.mark.slow
def test_pattern_of_names_is_planned_as_it_is_swept(sweep: Callable[..., list[Job]]) -> None:
    word = "model.head.box_loss=glob([d?ou,giou])"
    jobs = sweep(word)
    planned = sweep_jobs.cells("train", with_params(compose.prepare(["model=fcos", word])))
    assert [cell.words for cell in planned] == [job.words for job in jobs]
    assert swept(jobs, "box_loss") == [("diou", 1.0), ("giou", 1.0)]


def test_pattern_that_fits_nothing_is_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plan", "model/neck=glob(x*)"]) == 2
    assert "matches no option of model/neck; options: " in capsys.readouterr().err
    assert main(["plan", "seed=glob(x*)"]) == 2
    assert (
        "glob lists the options of a config group, and seed is not one" in capsys.readouterr().err
    )


def test_command_of_the_best_trial_has_the_drawn_part_once() -> None:
    drawn = ("model/head/box_loss=giou", "seed=2")
    trial = SimpleNamespace(
        number=0, state="done", value=0.5, words=drawn, folder=Path("best"), note=""
    )
    space = read_space(
        OverridesParser.create().parse_overrides(["model/head/box_loss=giou,diou", "seed=1,2"])
    )
    study = SimpleNamespace(ranking=lambda: [trial], space=space)
    words = [
        "--skip-bad",
        "--config-dir",
        "F",
        "model=fcos",
        "model.head.box_loss=giou,diou",
        "seed=1,2",
    ]
    command = report(study, "val/AP", words)[-1]
    assert command.strip() == f"detkit train --skip-bad --config-dir F model=fcos {' '.join(drawn)}"


@pytest.mark.slow
def test_parts_and_values_of_detr_are_swept(sweep: Callable[..., list[Job]]) -> None:
    jobs = sweep("model.head.box_loss=giou,ciou", "model.head.queries=20,50", model="detr")
    heads = [read_frozen(job.folder)["model"]["head"] for job in jobs]
    rows = {(head["box_loss"]["name"], head["queries"]) for head in heads}
    assert rows == {("giou", 20), ("giou", 50), ("ciou", 20), ("ciou", 50)}
