"""A search over jobs that pretend to train: the reports to the study, and the jobs run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

pytest.importorskip("optuna")

from detkit.config.sweep_options import OptunaOptions
from detkit.errors import UserError
from detkit.sweeps.jobs.job import Job
from detkit.sweeps.search import trial_runner as module
from detkit.sweeps.search.optuna_study import StoredStudy
from detkit.sweeps.search.search_space import read_space
from detkit.sweeps.search.trial import Trial
from detkit.sweeps.search.trial_runner import TrialRunner

EPOCHS = 4


class PretendedPool:
    """Runs two jobs at a time; at each look every job validates once, by the seed in its words."""

    def __init__(self, looks: int | None = None, failing: str = "") -> None:
        self.running: list[Job] = []
        self.started: list[str] = []
        self.looks, self.failing = looks, failing
        self._stopped: list[Job] = []

    @property
    def free(self) -> int:
        return 2 - len(self.running)

    def start(self, job: Job) -> None:
        assert self.free > 0
        self.started.append(job.folder.name)
        job.state = "running"
        job.attempts += 1
        job.save()
        self.running.append(job)

    def stop(self, job: Job, state: str = "stopped") -> None:
        job.state = state
        self._stopped.append(job)

    def ended(self) -> list[Job]:
        if self.looks is not None:
            self.looks -= 1
            if self.looks < 0:
                raise KeyboardInterrupt
        ended, self._stopped = self._stopped, []
        for job in self.running:
            if job in ended:
                continue
            if self.failing and self.failing in job.words:
                job.state, job.error = "failed", "out of memory"
                ended.append(job)
            elif validate(job.folder, int(job.words[0].partition("=")[2]) / 10) == EPOCHS:
                job.state = "done"
                ended.append(job)
        self.running = [job for job in self.running if job not in ended]
        for job in ended:
            job.save()
        return ended


def validate(folder: Path, value: float) -> int:
    """Add a row to a run's metrics; returns how many there are."""
    file = folder / "metrics.csv"
    if not file.is_file():
        file.write_text("step,epoch,val/AP,val/AP50\n", encoding="utf-8")
    epoch = file.read_text(encoding="utf-8").count("\n") - 1
    with file.open("a", encoding="utf-8") as opened:
        opened.write(f"{epoch},{epoch},{value},0.9\n")
    return epoch + 1


@pytest.fixture
def search(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., TrialRunner]:
    monkeypatch.setattr(module, "POLL", 0.0)

    def queue(trial: Trial) -> Job:
        if trial.words[0] == "seed=13":
            raise UserError("unlucky")
        folder = tmp_path / trial.words[0]
        folder.mkdir(exist_ok=True)
        job = Job.load(folder) if (folder / "job.json").is_file() else Job(folder, "")
        job.words = list(trial.words)
        job.save()
        return job

    def make(values: str, pool: PretendedPool, **given) -> TrialRunner:
        settings = OptunaOptions(**{"sampler": "grid", **given})
        space = read_space(OverridesParser.create().parse_overrides([f"seed={values}"]))
        study = StoredStudy(tmp_path / "study", space, sampler="grid", pruner=settings.pruner)
        return TrialRunner(study, pool, queue, settings)  # type: ignore[arg-type]

    return make


def test_every_cell_of_a_grid_runs_once_and_reports_its_best_epoch(search: Callable):
    pool = PretendedPool()
    made = search("1,2,3,4,5", pool)
    made.run()
    assert sorted(pool.started) == [f"seed={seed}" for seed in range(1, 6)]
    assert [trial.value for trial in made.study.trials()] == [0.1, 0.2, 0.3, 0.4, 0.5]
    assert made.study.ranking()[0].words == ("seed=5",)


def test_a_pruned_trial_stops_and_the_others_continue(search: Callable):
    pool = PretendedPool()
    made = search("5,4,3,6", pool, pruner="asha")
    made.run()
    states = [Job.load(trial.folder).state for trial in made.study.trials()]
    assert states == ["done", "pruned", "pruned", "done"]
    rows = [(trial.folder / "metrics.csv").read_text().count("\n") for trial in made.study.trials()]
    assert rows == [1 + EPOCHS, 2, 2, 1 + EPOCHS]


def test_a_failed_job_and_words_that_make_no_detector_are_failures(search: Callable, tmp_path):
    pool = PretendedPool(failing="seed=2")
    made = search("1,2,13,3", pool)
    made.run()
    assert [trial.value for trial in made.study.trials()] == [0.1, None, None, 0.3]
    assert not (tmp_path / "seed=13").exists()
    assert search("1,2,13,3", again := PretendedPool()).run() is None
    assert again.started == []


def test_an_interrupted_search_resumes_with_the_same_trials(search: Callable):
    first = search("1,2,3,4,5,6,7,8", PretendedPool(looks=3), trials=5)
    with pytest.raises(KeyboardInterrupt):
        first.run()
    half = {trial.number: trial.folder for trial in first.study.running()}
    assert len(half) == 2
    pool = PretendedPool()
    second = search("1,2,3,4,5,6,7,8", pool, trials=5)
    second.run()
    assert [trial.value for trial in second.study.trials()] == [0.1, 0.2, 0.3, 0.4, 0.5]
    assert {trial.number: trial.folder for trial in second.study.trials()}.items() >= half.items()
    assert [Job.load(folder).attempts for folder in half.values()] == [2, 2]


def test_a_job_that_another_process_runs_is_left_to_it(search: Callable):
    first = search("1,2,3", PretendedPool(looks=1))
    with pytest.raises(KeyboardInterrupt):
        first.run()
    held = first.study.running()[0]
    kept = Job.load(held.folder).take()
    assert kept is not None
    with kept:
        pool = PretendedPool()
        search("1,2,3", pool).run()
    assert sorted(pool.started) == ["seed=2", "seed=3"]
    assert [trial.number for trial in first.study.running()] == [held.number]


def test_a_decision_to_end_a_trial_survives_a_kill(search: Callable):
    first = search("5,4", PretendedPool(looks=1), pruner="asha")
    with pytest.raises(KeyboardInterrupt):
        first.run()
    better, worse = first.study.running()
    first.study.report(better.number, {1: 0.5})
    assert first.study.report(worse.number, {1: 0.4})  # and the process is killed here
    search("5,4", pool := PretendedPool(), pruner="asha").run()
    assert pool.started == ["seed=5"]
    assert Job.load(worse.folder).state == "pruned"


def test_a_job_that_was_done_before_the_search_is_not_run_again(search: Callable, tmp_path: Path):
    (tmp_path / "seed=2").mkdir()
    Job(tmp_path / "seed=2", "", state="done").save()
    validate(tmp_path / "seed=2", 0.7)
    made = search("1,2", pool := PretendedPool())
    made.run()
    assert pool.started == ["seed=1"]
    assert made.study.ranking()[0].value == 0.7


def test_an_unknown_metric_is_refused_with_the_available_ones(search: Callable):
    with pytest.raises(UserError) as error:
        search("1,2", PretendedPool(), metric="val/mAP").run()
    assert "hydra.sweeper.metric=val/mAP" in str(error.value)
    assert "choose one of val/AP, val/AP50" in str(error.value)
