"""The queue of a sweep on disk."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from detkit.config.compose import compose
from detkit.config.sweep_jobs import Cell
from detkit.config.sweep_options import read_device_pool
from detkit.errors import ConfigError, UserError
from detkit.runs.frozen_config import read_frozen
from detkit.sweeps.jobs.job import Job
from detkit.sweeps.jobs.run_jobs import launch
from detkit.sweeps.jobs.sweep_folder import SweepFolder, identity_of


@pytest.fixture(scope="module")
def config() -> dict[str, Any]:
    return compose("train", ["model=fcos", "model/backbone=resnet18", "trainer.accelerator=cpu"])


def cell(config: dict[str, Any], seed: int) -> tuple[dict[str, Any], list[str]]:
    return {**config, "seed": seed}, [f"seed={seed}", "optimizer.learning_rate=0.01"]


def test_a_grown_grid_adds_only_new_jobs(tmp_path: Path, config: dict[str, Any]) -> None:
    folder = SweepFolder.begin(tmp_path / "s", "detkit sweep seed=1,2", ["seed=1,2"])
    first = folder.queue([cell(config, 1), cell(config, 2)])
    first[0].state = "done"
    first[0].save()
    again = SweepFolder.begin(tmp_path / "s", "detkit sweep seed=1,2,3", ["seed=1,2,3"])
    jobs = again.queue([cell({**config, "run_name": "x"}, seed) for seed in (3, 1, 2, 3)])
    assert [job.state for job in jobs] == ["waiting", "done", "waiting", "waiting"]
    read = SweepFolder.open(tmp_path / "s")
    assert read.jobs == [job.folder.name for job in (*first, jobs[0])]
    assert read.swept == ["seed"]
    assert read.jobs[0].startswith("seed-1_learning_rate-0.01_")
    assert read_frozen(jobs[0].folder)["seed"] == 3


def test_identity_covers_everything_that_can_change_the_result(config: dict[str, Any]) -> None:
    same = {**config, "run_folder": "x", "data": {**config["data"], "workers": 7}}
    assert identity_of(same) == identity_of(config)
    assert identity_of({**config, "seed": 1}) != identity_of(config)
    slower = {**config["optimizer"], "learning_rate": 0.5}
    assert identity_of({**config, "optimizer": slower}) != identity_of(config)


# pain 6
def test_runs_of_a_sweep_are_one_group_of_wandb(tmp_path: Path, config: dict[str, Any]) -> None:
    logger = compose("train", ["logger=wandb"])["logger"]
    folder = SweepFolder.begin(tmp_path / "grid", "", [])
    (job,) = folder.queue([({**config, "logger": logger}, ["seed=1"])])
    assert read_frozen(job.folder)["logger"]["group"] == "grid"


def test_a_bad_cell_keeps_all_from_starting_unless_told_to(
    tmp_path: Path, config: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[Job] = []
    monkeypatch.setattr(
        "detkit.sweeps.jobs.run_jobs.run", lambda _, jobs, pool: started.extend(jobs)
    )
    cells = [Cell(["seed=1"], config, []), Cell(["seed=x"], None, ["seed: expected int"])]
    with pytest.raises(ConfigError, match=r"seed: expected int \(job seed=x\) The other 1 job"):
        launch(tmp_path / "s", read_device_pool({}), {}, cells)
    assert not (tmp_path / "s").exists()
    made = launch(tmp_path / "s", read_device_pool({"skip_bad": True}), {}, cells)
    assert [job.words for job in started] == [["seed=1"]]
    assert made[1] is None


def test_other_folders_are_no_sweeps(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is no folder of a sweep"):
        SweepFolder.open(tmp_path)
    (tmp_path / "sweep.json").write_text('{"command": "", "jobs": ["../x"]}')
    with pytest.raises(UserError, match="is damaged"):
        SweepFolder.open(tmp_path)
