"""Trials of a study as jobs of a pool: drawn, started, watched by their validations, told to it."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path

from detkit.errors import UserError
from detkit.runs.layout import RunFolder
from detkit.runs.metrics_rows import read_metrics
from detkit.sweeps.jobs.device_pool import DevicePool, JobTakenError
from detkit.sweeps.jobs.job import Job
from detkit.sweeps.jobs.progress_line import RunningJobs
from detkit.sweeps.optuna_sweeper import Settings
from detkit.sweeps.search.optuna_study import StoredStudy, Trial

POLL = 0.5  # seconds between two looks at the running jobs
_ENDED = ("done", "pruned", "failed")
_log = logging.getLogger("detkit.sweeps")


class Search:
    """Runs a study until as many trials as wanted have ended, or are run by other processes.

    Args:
        study: It draws, and keeps what becomes of each trial.
        pool: It runs the jobs.
        queue: From a trial to its job: composed, checked and frozen in the sweep's folder; raises
            UserError where the words make no detector.
        settings: Of them, how many trials there are to be, and the metric with its direction.
    """

    def __init__(
        self,
        study: StoredStudy,
        pool: DevicePool,
        queue: Callable[[Trial], Job],
        settings: Settings,
    ) -> None:
        self.study, self.pool, self.queue = study, pool, queue
        self.trials, self.metric = settings.trials, settings.metric
        self._best: Callable[..., float | None]
        self._best = max if settings.direction == "maximize" else min
        self._numbers: dict[Path, int] = {}  # of the trials whose jobs this process runs
        self._left: set[int] = set()  # trials whose jobs somebody has stopped, or runs otherwise

    def run(self) -> None:
        """Run to the end and show the progress of the trials.

        Raises:
            UserError: The runs do not measure the metric.
        """
        with RunningJobs() as progress:
            while True:
                for job in self.pool.ended():
                    self._conclude(self._numbers.pop(job.folder), job)
                for job in self.pool.running:
                    self._watch(job)
                while self.pool.free > 0 and self._start_one():
                    pass
                if not self._numbers:
                    return
                progress.show(self.pool.running)
                time.sleep(POLL)

    def _watch(self, job: Job) -> None:
        """Report a job's validations, and end it where the pruner says so."""
        number = self._numbers[job.folder]
        if self.study.report(number, validations(job.folder, self.metric)):
            self.pool.stop(job, "pruned")

    def _start_one(self) -> bool:
        """Go on with a trial that nobody runs, or draw a new one; whether there was one."""
        with self.study.drawing():
            self.study.void_lost()
            numbers = {*self._numbers.values(), *self._left}
            for trial in self.study.running():
                if trial.number not in numbers and self._take_over(trial):
                    return True
            if self.trials is not None and len(self.study.trials()) >= self.trials:
                return False
            new = self.study.draw()
            if new is not None:
                self._begin(new)
            return new is not None

    def _take_over(self, trial: Trial) -> bool:
        """Go on with a trial whose process has ended; whether it had."""
        if trial.folder is None:
            return False
        try:
            job = Job.load(trial.folder)
        except UserError as error:  # its folder was taken away
            self.study.fail(trial.number, str(error))
            return True
        if not job.is_free():
            return False
        self._run(trial, job)
        return True

    def _begin(self, trial: Trial) -> None:
        """Make a new trial's job and start it."""
        try:
            job = self.queue(trial)
        except UserError as error:
            self.study.fail(trial.number, str(error))
            _log.warning("trial %d cannot run: %s: %s", trial.number, " ".join(trial.words), error)
            return
        same = (
            candidate
            for candidate in self.study.trials()
            if candidate.folder == job.folder.resolve()
        )
        if other := next(same, None):
            self.study.void(trial.number, f"the same configuration as trial {other.number}")
            return
        self.study.assign(trial, job.folder)
        self._run(trial, job)

    def _run(self, trial: Trial, job: Job) -> None:
        """Run a trial's job, unless it has been run or was to be ended early."""
        if trial.pruned and job.state not in _ENDED:
            job.state = "pruned"
            job.save()
        if job.state in _ENDED:
            self._conclude(trial.number, job)
        else:
            try:
                self.pool.start(job)
            except JobTakenError:  # by a sweep that is no search
                self._left.add(trial.number)
                return
            self._numbers[job.folder] = trial.number

    def _conclude(self, number: int, job: Job) -> None:
        """Tell the study how a job ended; one that was stopped stays a running trial."""
        if job.state == "pruned":
            self.study.prune(number)
        elif job.state == "failed":
            self.study.fail(number, job.error or "the job failed")
        elif job.state == "done":
            values = validations(job.folder, self.metric)
            self.study.record(number, values)
            self.study.complete(number, self._best(values.values(), default=None))
        else:
            self._left.add(number)


def validations(folder: Path, metric: str) -> dict[int, float]:
    """The metric of a run after each epoch that was validated, from 1.

    Raises:
        UserError: The run has been validated, and not by this metric.
    """
    rows = read_metrics(RunFolder(folder).metrics_log)
    measured = [name for name in (rows[0] if rows else {}) if name.startswith("val/")]
    if measured and metric not in measured:
        raise UserError(
            f"hydra.sweeper.metric={metric}: {RunFolder(folder).metrics_log} has no such column; "
            f"choose one of {', '.join(measured)}."
        )
    return {int(row["epoch"]): float(row[metric]) for row in rows if row.get(metric)}
