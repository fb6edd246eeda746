"""Run an Optuna study: draw trials, start them as jobs, report their validation metrics."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path

from detkit.config.sweep_options import OptunaOptions
from detkit.errors import UserError
from detkit.runs.layout import RunFolder
from detkit.runs.metrics_rows import read_metrics
from detkit.sweeps.jobs.device_pool import DevicePool
from detkit.sweeps.jobs.job import Job, JobTakenError
from detkit.sweeps.jobs.progress_line import ProgressLine
from detkit.sweeps.search.optuna_study import StoredStudy
from detkit.sweeps.search.trial import Trial

POLL = 0.5  # seconds between two looks at the running jobs
_ENDED = ("done", "pruned", "failed")
_log = logging.getLogger("detkit.sweeps")


class TrialRunner:
    """Runs a study until enough trials have ended or are run by other processes.

    Args:
        study: The study that draws trials and records their results.
        pool: The pool that runs the jobs.
        queue: Composes, checks and freezes the job of a trial; raises UserError if the trial's
            overrides do not describe a working detector.
        options: The number of trials, and the metric with its direction.
    """

    def __init__(
        self,
        study: StoredStudy,
        pool: DevicePool,
        queue: Callable[[Trial], Job],
        options: OptunaOptions,
    ) -> None:
        self.study, self.pool, self.queue = study, pool, queue
        self.trials, self.metric = options.trials, options.metric
        self._best: Callable[..., float | None]
        self._best = max if options.direction == "maximize" else min
        self._numbers: dict[Path, int] = {}  # the trials whose jobs this process runs, by folder
        self._skipped: set[int] = set()  # trials that were stopped, or that another sweep runs

    def run(self) -> None:
        """Run to the end and show the progress of the trials.

        Raises:
            UserError: The runs do not measure the metric.
        """
        with ProgressLine() as progress:
            while True:
                for job in self.pool.ended():
                    self._conclude(self._numbers.pop(job.folder), job)
                for job in self.pool.running:
                    self._watch(job)
                while self.pool.free > 0 and self._start_next():
                    pass
                if not self._numbers:
                    return
                progress.show(self.pool.running)
                time.sleep(POLL)

    def _watch(self, job: Job) -> None:
        """Report a job's validations, and stop it if the pruner decides so."""
        number = self._numbers[job.folder]
        if self.study.report(number, validations(job.folder, self.metric)):
            self.pool.stop(job, "pruned")

    def _start_next(self) -> bool:
        """Resume a trial that no process runs, or draw a new one; return whether there was one."""
        with self.study.drawing():
            self.study.void_lost()
            handled = {*self._numbers.values(), *self._skipped}
            for trial in self.study.running():
                if trial.number not in handled and self._take_over(trial):
                    return True
            if self.trials is not None and len(self.study.trials()) >= self.trials:
                return False
            trial_or_none = self.study.draw()
            if trial_or_none is not None:
                self._begin(trial_or_none)
            return trial_or_none is not None

    def _take_over(self, trial: Trial) -> bool:
        """Resume a trial whose process has ended; return False if its process still runs."""
        if trial.folder is None:
            return False
        try:
            job = Job.load(trial.folder)
        except UserError as error:  # somebody deleted its folder
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
        for other in self.study.trials():
            if other.folder == job.folder.resolve():
                self.study.void(trial.number, f"the same configuration as trial {other.number}")
                return
        self.study.assign(trial, job.folder)
        self._run(trial, job)

    def _run(self, trial: Trial, job: Job) -> None:
        """Run a trial's job, unless the job has ended or the trial was pruned."""
        if trial.pruned and job.state not in _ENDED:
            job.state = "pruned"
            job.save()
        if job.state in _ENDED:
            self._conclude(trial.number, job)
        else:
            try:
                self.pool.start(job)
            except JobTakenError:  # by a sweep that is no search
                self._skipped.add(trial.number)
                return
            self._numbers[job.folder] = trial.number

    def _conclude(self, number: int, job: Job) -> None:
        """Report how a job ended; the trial of a stopped job stays running."""
        if job.state == "pruned":
            self.study.prune(number)
        elif job.state == "failed":
            self.study.fail(number, job.error or "the job failed")
        elif job.state == "done":
            values = validations(job.folder, self.metric)
            self.study.record(number, values)
            self.study.complete(number, self._best(values.values(), default=None))
        else:
            self._skipped.add(number)


def validations(folder: Path, metric: str) -> dict[int, float]:
    """The metric of a run after each validated epoch, by epoch from 1.

    Raises:
        UserError: The run was validated with other metrics.
    """
    rows = read_metrics(RunFolder(folder).metrics_log)
    measured = [name for name in (rows[0] if rows else {}) if name.startswith("val/")]
    if measured and metric not in measured:
        raise UserError(
            f"hydra.sweeper.metric={metric}: {RunFolder(folder).metrics_log} has no such column; "
            f"choose one of {', '.join(measured)}."
        )
    return {int(row["epoch"]): float(row[metric]) for row in rows if row.get(metric)}
